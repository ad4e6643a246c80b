"""
Bad files, keys, names and exemptions. A part of the table of `test_bad_policies`.
"""

from bad_row import CALENDAR, JSON, TWO_PLACES, Bad, exemption, policy, until

UNTIL = "until: expected a date such as 2026-12-31 or a timestamp with its offset such as 2026-12-31T18:00:00Z"
KEYS_OF_POLICIES = "expected one of name, description, mode, match, action"
A_NAME = "name: expected at most 63 small letters, digits and inner hyphens"
NO_SECTION = "expected a mapping with 'policies' or 'exemptions'"
WITH_OFFSET = "expected a timestamp with its offset such as 2026-12-31T18:00:00Z or 2026-12-31T18:00:00+08:00"
NO_DATE = "until: there is no such date or time"

FILES = (
    Bad("empty-file", "", f"1:1 {NO_SECTION}, got nothing"),
    Bad("only-a-comment", "# policies: []\n", f"1:1 {NO_SECTION}, got nothing"),
    Bad("only-a-separator", "---\n", f"2:1 {NO_SECTION}, got nothing"),
    Bad("null", "~\n", f"1:1 {NO_SECTION}, got nothing"),
    Bad("text", "policies\n", f"1:1 {NO_SECTION}, got the text 'policies'"),
    Bad("number", "7\n", f"1:1 {NO_SECTION}, got the number 7"),
    Bad("list", "- name: p\n  match: {user: a}\n", f"1:1 {NO_SECTION}, got a list"),
    Bad("empty-mapping", "{}\n", f"1:1 {NO_SECTION}, got an empty mapping"),
    Bad("unknown-section", "rules: []\n", "1:1 unknown key 'rules'; expected one of policies, exemptions"),
    Bad(
        "mistyped-section",
        "policys: []\n",
        "1:1 unknown key 'policys' (did you mean policies?); expected one of policies, exemptions",
    ),
    Bad(
        "section-in-capitals",
        "Policies: []\n",
        "1:1 unknown key 'Policies' (did you mean policies?); expected one of policies, exemptions",
    ),
    Bad(
        "unknown-section-beside-a-known-one",
        "policies: []\nversion: 1\n",
        "2:1 unknown key 'version'; expected one of policies, exemptions",
    ),
    Bad("policies-is-nothing", "policies:\n", "1:10 policies: expected a list, got nothing"),
    Bad(
        "policies-is-a-mapping", "policies:\n  name: p\n  match: {user: a}\n", "2:3 policies: expected a list, got a mapping"
    ),
    Bad("policies-is-text", "policies: none\n", "1:11 policies: expected a list, got the text 'none'"),
    Bad("exemptions-is-nothing", "policies: []\nexemptions:\n", "2:12 exemptions: expected a list, got nothing"),
    Bad("exemptions-is-a-number", "exemptions: 0\n", "1:13 exemptions: expected a list, got the number 0"),
    Bad("item-is-nothing", "policies:\n-\n", "2:2 policies: expected a mapping, got nothing"),
    Bad("item-is-text", "policies: [p]\n", "1:12 policies: expected a mapping, got the text 'p'"),
    Bad("item-is-a-list", "policies: [[]]\n", "1:12 policies: expected a mapping, got a list"),
    Bad(
        "item-is-empty",
        "policies: [{}]\n",
        "1:12 the required key 'name' is missing",
        "1:12 the required key 'match' is missing",
    ),
    Bad("exemption-is-a-boolean", "exemptions: [true]\n", "1:14 exemptions: expected a mapping, got the boolean true"),
    Bad(
        "exemption-is-empty",
        "exemptions:\n- {}\n",
        "2:3 the required key 'name' is missing",
        "2:3 the required key 'match' is missing",
        "2:3 the required key 'reason' is missing",
        "2:3 the required key 'owner' is missing",
        "2:3 the required key 'until' is missing",
    ),
    Bad("number-as-key", "1: []\n", "1:1 unknown key '1'; expected one of policies, exemptions"),
    Bad("empty-key", "'': []\n", "1:1 unknown key ''; expected one of policies, exemptions"),
)

KEYS_OF_POLICIES = (
    Bad("no-match", "policies:\n- name: p\n", "2:3 [p] the required key 'match' is missing"),
    Bad("no-name", "policies:\n- match: {user: a}\n", "2:3 the required key 'name' is missing"),
    Bad(
        "no-name-and-another-error",
        "policies:\n- match: {usr: a}\n",
        "2:3 the required key 'name' is missing",
        "2:11 match: unknown field 'usr' (did you mean user?)",
    ),
    Bad(
        "mistyped-key",
        policy("descripton: x"),
        f"4:3 [p] unknown key 'descripton' (did you mean description?); {KEYS_OF_POLICIES}",
    ),
    Bad("key-of-an-exemption", policy("owner: me"), f"4:3 [p] unknown key 'owner'; {KEYS_OF_POLICIES}"),
    Bad("key-in-capitals", policy("Mode: enforce"), f"4:3 [p] unknown key 'Mode' (did you mean mode?); {KEYS_OF_POLICIES}"),
    Bad("key-of-no-kind", policy("severity: high"), f"4:3 [p] unknown key 'severity'; {KEYS_OF_POLICIES}"),
    Bad(
        "field-beside-match",
        policy("duration: {gt: 24h}"),
        "4:3 [p] unknown key 'duration'; conditions stand inside 'match', indented below it",
    ),
    Bad(
        "condition-indented-too-little",
        "policies:\n- name: p\n  match:\n  user: a\n",
        "3:9 [p] match: expected a mapping of conditions, got nothing",
        "4:3 [p] unknown key 'user'; conditions stand inside 'match', indented below it",
    ),
    Bad(
        "mode-mistyped",
        policy("mode: enforced"),
        "4:9 [p] mode: expected observe or enforce, got 'enforced' (did you mean enforce?)",
    ),
    Bad(
        "mode-in-capitals",
        policy("mode: Enforce"),
        "4:9 [p] mode: expected observe or enforce, got 'Enforce' (did you mean enforce?)",
    ),
    Bad("mode-dry-run", policy("mode: dry-run"), "4:9 [p] mode: expected observe or enforce, got 'dry-run'"),
    Bad("mode-is-a-boolean", policy("mode: true"), "4:9 [p] mode: expected observe or enforce, got the boolean true"),
    Bad("mode-is-nothing", policy("mode:"), "4:8 [p] mode: expected observe or enforce, got nothing"),
    Bad("mode-is-empty", policy("mode: ''"), "4:9 [p] mode: expected observe or enforce, got ''"),
    Bad("mode-is-a-list", policy("mode: [observe]"), "4:9 [p] mode: expected observe or enforce, got a list"),
    Bad("mode-is-off", policy("mode: off"), "4:9 [p] mode: expected observe or enforce, got 'off'"),
    Bad("action-stop", policy("action: stop"), "4:11 [p] action: expected terminate or notify, got 'stop'"),
    Bad("action-delete", policy("action: delete"), "4:11 [p] action: expected terminate or notify, got 'delete'"),
    Bad(
        "action-mistyped",
        policy("action: termiante"),
        "4:11 [p] action: expected terminate or notify, got 'termiante' (did you mean terminate?)",
    ),
    Bad(
        "action-is-a-mapping",
        policy("action: {terminate: true}"),
        "4:11 [p] action: expected terminate or notify, got a mapping",
    ),
    Bad("action-is-a-number", policy("action: 1"), "4:11 [p] action: expected terminate or notify, got the number 1"),
    Bad(
        "description-is-a-number",
        policy("description: 2026"),
        "4:16 [p] description: expected text, got the number 2026; put it in quotes",
    ),
    Bad("description-is-nothing", policy("description:"), "4:15 [p] description: expected text, got nothing"),
    Bad("description-is-a-list", policy("description: [a, b]"), "4:16 [p] description: expected text, got a list"),
    Bad(
        "description-is-a-boolean",
        policy("description: true"),
        "4:16 [p] description: expected text, got the boolean true; put it in quotes",
    ),
)

NAMES = (
    Bad("name-with-capitals", "policies: [{name: Eco, match: {user: a}}]\n", f"1:19 {A_NAME}, got 'Eco'"),
    Bad("name-with-a-space", "policies: [{name: my policy, match: {user: a}}]\n", f"1:19 {A_NAME}, got 'my policy'"),
    Bad("name-with-an-underscore", "policies: [{name: my_policy, match: {user: a}}]\n", f"1:19 {A_NAME}, got 'my_policy'"),
    Bad("name-ends-with-a-hyphen", "policies: [{name: eco-, match: {user: a}}]\n", f"1:19 {A_NAME}, got 'eco-'"),
    Bad(
        "name-of-64-characters",
        ("policies: [{name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, match: {user: a}}]\n"),
        f"1:19 {A_NAME}, got 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'",
    ),
    Bad("name-is-empty", "policies: [{name: '', match: {user: a}}]\n", f"1:19 {A_NAME}, got ''"),
    Bad("name-is-nothing", "policies: [{name: , match: {user: a}}]\n", "1:18 name: expected text, got nothing"),
    Bad(
        "name-is-a-number",
        "policies: [{name: 100, match: {user: a}}]\n",
        "1:19 name: expected text, got the number 100; put it in quotes",
    ),
    Bad(
        "name-is-a-boolean",
        "policies: [{name: true, match: {user: a}}]\n",
        "1:19 name: expected text, got the boolean true; put it in quotes",
    ),
    Bad("name-is-a-list", "policies: [{name: [a], match: {user: a}}]\n", "1:19 name: expected text, got a list"),
    Bad("name-in-chinese", "policies: [{name: 策略, match: {user: a}}]\n", f"1:19 {A_NAME}, got '策略'"),
    Bad("name-with-a-line-end", 'policies: [{name: "a\\n", match: {user: a}}]\n', f"1:19 {A_NAME}, got 'a\\n'", unseen=JSON),
    Bad(
        "name-twice-in-a-file",
        "policies:\n- {name: p, match: {user: a}}\n- {name: p, match: {user: b}}\n",
        "3:10 [p] name: another policy has the name 'p', at a.yaml:2",
        unseen=TWO_PLACES,
    ),
    Bad(
        "name-twice-in-two-files",
        ["policies: [{name: p, match: {user: a}}]\n", "policies: [{name: p, match: {user: a}}]\n"],
        "b.yaml:1:19 [p] name: another policy has the name 'p', at a.yaml:1",
        unseen=TWO_PLACES,
    ),
    Bad(
        "name-three-times",
        ("policies:\n- {name: p, match: {user: a}}\n- {name: p, match: {user: b}}\n- {name: p, match: {user: c}}\n"),
        "3:10 [p] name: another policy has the name 'p', at a.yaml:2",
        "4:10 [p] name: another policy has the name 'p', at a.yaml:2",
        unseen=TWO_PLACES,
    ),
)

EXEMPTIONS = (
    Bad(
        "lacks-everything-but-a-name",
        "exemptions:\n- name: e\n",
        "2:3 [e] the required key 'match' is missing",
        "2:3 [e] the required key 'reason' is missing",
        "2:3 [e] the required key 'owner' is missing",
        "2:3 [e] the required key 'until' is missing",
    ),
    Bad("reason-is-empty", exemption("reason: ''"), "6:11 [e] reason: expected some text, got ''"),
    Bad("reason-is-blank", exemption("reason: '  '"), "6:11 [e] reason: expected some text, got '  '"),
    Bad("reason-is-nothing", exemption("reason:"), "6:10 [e] reason: expected text, got nothing"),
    Bad(
        "reason-is-a-number",
        exemption("reason: 4711"),
        "6:11 [e] reason: expected text, got the number 4711; put it in quotes",
    ),
    Bad("owner-is-a-list", exemption("owner: [a, b]"), "6:10 [e] owner: expected text, got a list"),
    Bad(
        "owner-is-a-boolean",
        exemption("owner: true"),
        "6:10 [e] owner: expected text, got the boolean true; put it in quotes",
    ),
    Bad(
        "key-of-a-policy",
        exemption("mode: observe"),
        "7:3 [e] unknown key 'mode'; expected one of name, match, reason, owner, until",
    ),
    Bad(
        "exemption-match-is-empty",
        exemption("match: {}"),
        "6:10 [e] match: expected at least one condition, got an empty mapping",
    ),
    Bad(
        "exemption-type-error",
        exemption("match: {cards: {gt: 1h}}"),
        "6:23 [e] cards: expected an integer, got the text '1h'",
    ),
    Bad(
        "exemption-name-twice",
        (
            "exemptions:\n"
            "- {name: e, match: {user: a}, reason: r, owner: o, until: 2026-12-31}\n"
            "- {name: e, match: {user: a}, reason: r, owner: o, until: 2026-12-31}\n"
        ),
        "3:10 [e] name: another exemption has the name 'e', at a.yaml:2",
        unseen=TWO_PLACES,
    ),
    Bad(
        "until-day-that-is-none",
        until("2026-02-30"),
        f"6:10 [e] {NO_DATE} (day is out of range for month), got the text '2026-02-30'",
        unseen=CALENDAR,
    ),
    Bad(
        "until-month-that-is-none",
        until("2026-13-01"),
        f"6:10 [e] {NO_DATE} (month must be in 1..12), got the text '2026-13-01'",
        unseen=CALENDAR,
    ),
    Bad(
        "until-hour-that-is-none",
        until("2026-12-31T25:00:00Z"),
        f"6:10 [e] {NO_DATE} (hour must be in 0..23), got the text '2026-12-31T25:00:00Z'",
        unseen=CALENDAR,
    ),
    Bad(
        "until-second-that-is-none",
        until("2026-12-31T23:59:60Z"),
        f"6:10 [e] {NO_DATE} (second must be in 0..59), got the text '2026-12-31T23:59:60Z'",
        unseen=CALENDAR,
    ),
    Bad(
        "until-no-offset", until("2026-12-31T18:00:00"), f"6:10 [e] until: {WITH_OFFSET}, got the text '2026-12-31T18:00:00'"
    ),
    Bad(
        "until-no-offset-with-a-space",
        until("2026-12-31 18:00:00"),
        f"6:10 [e] until: {WITH_OFFSET}, got the text '2026-12-31 18:00:00'",
    ),
    Bad(
        "until-offset-without-a-colon",
        until("2026-12-31T18:00:00+0800"),
        f"6:10 [e] {UNTIL}, got the text '2026-12-31T18:00:00+0800'",
    ),
    Bad(
        "until-offset-too-large",
        until("2026-12-31T18:00:00+24:00"),
        f"6:10 [e] {UNTIL}, got the text '2026-12-31T18:00:00+24:00'",
    ),
    Bad("until-no-seconds", until("2026-12-31T18:00Z"), f"6:10 [e] {UNTIL}, got the text '2026-12-31T18:00Z'"),
    Bad("until-zone-by-name", until("2026-12-31T18:00:00 CST"), f"6:10 [e] {UNTIL}, got the text '2026-12-31T18:00:00 CST'"),
    Bad("until-digits-only", until("20261231"), f"6:10 [e] {UNTIL}, got the number 20261231"),
    Bad("until-year-and-month", until("2026-12"), f"6:10 [e] {UNTIL}, got the text '2026-12'"),
    Bad("until-one-digit-month", until("2026-1-31"), f"6:10 [e] {UNTIL}, got the text '2026-1-31'"),
    Bad("until-other-order", until("31.12.2026"), f"6:10 [e] {UNTIL}, got the text '31.12.2026'"),
    Bad("until-slashes", until("2026/12/31"), f"6:10 [e] {UNTIL}, got the text '2026/12/31'"),
    Bad("until-american-order", until("12/31/2026"), f"6:10 [e] {UNTIL}, got the text '12/31/2026'"),
    Bad("until-week", until("2026-W53"), f"6:10 [e] {UNTIL}, got the text '2026-W53'"),
    Bad("until-word", until("forever"), f"6:10 [e] {UNTIL}, got the text 'forever'"),
    Bad("until-span", until("7d"), f"6:10 [e] {UNTIL}, got the text '7d'"),
    Bad("until-tomorrow", until("tomorrow"), f"6:10 [e] {UNTIL}, got the text 'tomorrow'"),
    Bad("until-nothing", until(""), f"6:9 [e] {UNTIL}, got nothing"),
    Bad("until-empty", until("''"), f"6:10 [e] {UNTIL}, got the text ''"),
    Bad("until-number-of-seconds", until("1798675200"), f"6:10 [e] {UNTIL}, got the number 1798675200"),
    Bad("until-list", until("[2026-12-31]"), f"6:10 [e] {UNTIL}, got a list"),
    Bad("until-blank-in-front", until("' 2026-12-31'"), f"6:10 [e] {UNTIL}, got the text ' 2026-12-31'"),
    Bad(
        "until-year-zero",
        until("0000-01-01"),
        f"6:10 [e] {NO_DATE} (year 0 is out of range), got the text '0000-01-01'",
        unseen=CALENDAR,
    ),
    Bad("until-two-spaces", until("2026-12-31  18:00:00Z"), f"6:10 [e] {UNTIL}, got the text '2026-12-31  18:00:00Z'"),
)
