"""
Bad YAML, bytes, sizes and depths. A part of the table of `test_bad_policies`.
"""

from bad_row import YAML, Bad, block, exemption, match, policy

FIELDS_LISTED = (
    "billing_code, unit_num, node_count, cards, flavor_id, flavor_type, accelerator, duration, age, "
    "waiting, total_cards, card_hours, cost, cost_rate, phase, pool_id, user, name, id, kind, "
    "description, engine, image, target, region, project, workspace, annotation.<key>"
)
LONG = "x" * 200
NINES = "9" * 200
NO_TAG = "expected a value without a tag; put text that begins with '!' in quotes"
NO_ALIAS = "expected a value, got an alias; put text that begins with '*' in quotes"
NO_CHARACTER = "may not stand in a policy file (within double quotes, write it as an escape)"
NOT_YAML = "not valid YAML: "
SECOND_COLON = (
    "a second ': ' in one line, wrong indentation, or a key before it without ': '; put text that holds ': ' in quotes"
)
NO_BLOCK = "a value may not begin with '>' or '|'; a comparison is written {gt: 24h}, and other text in quotes"
NO_KEY = "expected a text as key, got a list or a mapping; put text that begins with '[' or '{' in quotes"
SHORTER = "of at most 40 characters, with an exponent of at most 2 digits"
HERE = "here; put text that holds ': ', commas or brackets in quotes"

YAML_ITSELF = (
    Bad("tab-for-indentation", "policies:\n\t- name: p\n", "2:1 indented with a tab; YAML takes spaces only", unseen=YAML),
    Bad(
        "tab-after-spaces",
        "policies:\n- name: p\n \tmatch: {user: a}\n",
        "3:2 indented with a tab; YAML takes spaces only",
        unseen=YAML,
    ),
    Bad(
        "tab-before-a-comment", "policies: []\t# none\n", f"1:13 {NOT_YAML}a tab may not stand here; use spaces", unseen=YAML
    ),
    Bad("bad-indentation", "policies:\n- name: p\n   match: {user: a}\n", f"3:9 {NOT_YAML}{SECOND_COLON}", unseen=YAML),
    Bad(
        "key-not-aligned",
        "policies:\n  - name: p\n    match: {user: a}\n   mode: observe\n",
        f"4:4 {NOT_YAML}this does not line up with what stands before it; check indentation, quotes and brackets",
        unseen=YAML,
    ),
    Bad(
        "no-space-after-the-colon", "policies:\n- name:p\n  match: {user: a}\n", f"3:8 {NOT_YAML}{SECOND_COLON}", unseen=YAML
    ),
    Bad(
        "no-space-after-the-hyphen",
        "policies:\n-name: p\n",
        "1:10 policies: expected a list, got nothing",
        "2:1 unknown key '-name'; an item of a list begins with a hyphen and a space",
    ),
    Bad("two-colons", match("{user: a: b}"), f"3:18 {NOT_YAML}expected ',' or '}}' {HERE}", unseen=YAML),
    Bad("two-colons-in-a-description", policy("description: stop: at once"), f"4:20 {NOT_YAML}{SECOND_COLON}", unseen=YAML),
    Bad(
        "star-without-quotes",
        match("{billing_code: {glob: *.eco}}"),
        f"3:33 {NOT_YAML}a value may not begin with '*' or '&'; put the text in quotes",
        unseen=YAML,
    ),
    Bad(
        "bracket-without-quotes",
        block("    name: {glob: [!a]*}\n"),
        f"4:19 {NOT_YAML}a value may not begin with '!'; put the text in quotes",
        unseen=YAML,
    ),
    Bad(
        "percent-without-quotes",
        match("{user: %a}"),
        f"3:17 {NOT_YAML}a value may not begin with this character; put the text in quotes",
        unseen=YAML,
    ),
    Bad(
        "at-without-quotes",
        match("{user: @a}"),
        f"3:17 {NOT_YAML}a value may not begin with this character; put the text in quotes",
        unseen=YAML,
    ),
    Bad(
        "backtick-without-quotes",
        match("{user: `a`}"),
        f"3:17 {NOT_YAML}a value may not begin with this character; put the text in quotes",
        unseen=YAML,
    ),
    Bad(
        "ampersand-without-quotes",
        match("{user: & a}"),
        f"3:18 {NOT_YAML}a value may not begin with '*' or '&'; put the text in quotes",
        unseen=YAML,
    ),
    Bad(
        "exclamation-mark-without-quotes",
        match("{user: !a}"),
        f"3:17 {NOT_YAML}a value may not begin with '!'; put the text in quotes",
        unseen=YAML,
    ),
    Bad(
        "regex-in-double-quotes",
        match('{name: {regex: "\\d+"}}'),
        f"3:27 {NOT_YAML}an unknown escape; use single quotes where backslashes stand for themselves",
        unseen=YAML,
    ),
    Bad("open-single-quote", match("{user: 'a}"), f"3:17 {NOT_YAML}the quote that opens here is never closed", unseen=YAML),
    Bad("open-double-quote", match('{user: "a}'), f"3:17 {NOT_YAML}the quote that opens here is never closed", unseen=YAML),
    Bad("open-bracket", match("{user: [a, b}"), f"3:22 {NOT_YAML}expected ',' or ']' {HERE}", unseen=YAML),
    Bad("open-brace", match("{user: a"), f"3:10 {NOT_YAML}the bracket that opens here is never closed", unseen=YAML),
    Bad(
        "open-brace-at-the-end",
        "policies: [{name: p, match: {user: ",
        f"1:36 {NOT_YAML}the file ends within an open bracket",
        unseen=YAML,
    ),
    Bad(
        "closing-brace-too-many",
        match("{user: a}}"),
        f"3:19 {NOT_YAML}this does not line up with what stands before it; check indentation, quotes and brackets",
        unseen=YAML,
    ),
    Bad(
        "regex-with-braces-unquoted",
        match("{name: {regex: a{2}}}"),
        f"3:26 {NOT_YAML}expected ',' or '}}' {HERE}",
        unseen=YAML,
    ),
    Bad(
        "anchor-and-alias",
        "policies:\n- name: p\n  match: &m {user: a}\n- name: q\n  match: *m\n",
        f"5:10 [q] {NO_ALIAS}",
        unseen=YAML,
    ),
    Bad("alias-of-nothing", match("{user: *nobody}"), f"3:17 [p] {NO_ALIAS}", unseen=YAML),
    Bad("alias-as-a-key", match("{*k : a}"), f"3:11 [p] {NO_ALIAS}", unseen=YAML),
    Bad(
        "merge-key",
        "policies:\n- name: p\n  match: {user: a}\n  <<: {mode: enforce}\n",
        "4:3 [p] merge keys (<<) are not allowed; write the entries out",
        unseen=YAML,
    ),
    Bad(
        "merge-of-an-alias",
        "policies:\n- &p\n  name: p\n  match: {user: a}\n- <<: *p\n  name: q\n",
        "5:3 [q] merge keys (<<) are not allowed; write the entries out",
        f"5:7 [q] {NO_ALIAS}",
        unseen=YAML,
    ),
    Bad("tag-of-a-type", match("{cards: !!int '8'}"), f"3:18 [p] {NO_TAG}", unseen=YAML),
    Bad("tag-of-python", match("{user: !!python/object/apply:os.system [ls]}"), f"3:17 [p] {NO_TAG}", unseen=YAML),
    Bad("tag-on-a-collection", "policies: !!set {a, b}\n", f"1:11 {NO_TAG}", unseen=YAML),
    Bad(
        "duplicate-section",
        "policies: []\npolicies: []\n",
        "2:1 the key 'policies' stands twice, first in line 1",
        unseen=YAML,
    ),
    Bad(
        "duplicate-key-of-a-policy",
        "policies:\n- name: p\n  mode: observe\n  match: {user: a}\n  mode: enforce\n",
        "5:3 [p] the key 'mode' stands twice, first in line 3",
        unseen=YAML,
    ),
    Bad(
        "duplicates-in-and-around-policies",
        "policies:\n- {name: a, name: b, match: {user: a}}\n- {name: b, mode: enforce, mode: observe, match: {user: a}}\n"
        "policies: []\n",
        "2:13 [a] the key 'name' stands twice, first in line 2",
        "3:28 [b] the key 'mode' stands twice, first in line 3",
        "4:1 the key 'policies' stands twice, first in line 1",
        unseen=YAML,
    ),
    Bad(
        "duplicate-key-of-an-exemption",
        exemption("reason: r\n  reason: s"),
        "7:3 [e] the key 'reason' stands twice, first in line 6",
        unseen=YAML,
    ),
    Bad(
        "duplicate-field", match("{user: a, user: b}"), "3:20 [p] the key 'user' stands twice, first in line 3", unseen=YAML
    ),
    Bad(
        "duplicate-operator",
        match("{cards: {gt: 1, gt: 2}}"),
        "3:26 [p] the key 'gt' stands twice, first in line 3",
        unseen=YAML,
    ),
    Bad(
        "duplicate-not",
        match("{not: {user: a}, not: {user: b}}"),
        "3:27 [p] the key 'not' stands twice, first in line 3",
        unseen=YAML,
    ),
    Bad(
        "duplicate-in-quotes",
        match("{user: a, 'user': b}"),
        "3:20 [p] the key 'user' stands twice, first in line 3",
        unseen=YAML,
    ),
    Bad(
        "key-is-a-list",
        match("{[user, name]: a}"),
        "3:10 [p] match: expected at least one condition, got an empty mapping",
        f"3:11 [p] {NO_KEY}",
        unseen=YAML,
    ),
    Bad(
        "key-is-a-mapping",
        match("{? {user: a} : b}"),
        "3:10 [p] match: expected at least one condition, got an empty mapping",
        f"3:13 [p] {NO_KEY}",
        unseen=YAML,
    ),
    Bad("comparison-as-a-sign", match("\n    duration: > 24h"), f"4:15 {NOT_YAML}{NO_BLOCK}", unseen=YAML),
    Bad("comparison-as-a-sign-without-a-space", match("\n    duration: >24h"), f"4:15 {NOT_YAML}{NO_BLOCK}", unseen=YAML),
    Bad("zero-width-space", policy("description: \u200bx"), f"4:16 the character U+200B {NO_CHARACTER}", unseen=YAML),
    Bad("soft-hyphen", match("{user: {ne: an\u00adn}}"), f"3:24 the character U+00AD {NO_CHARACTER}", unseen=YAML),
    Bad("mark-of-direction", match("{user: {ne: ann\u200e}}"), f"3:25 the character U+200E {NO_CHARACTER}", unseen=YAML),
    Bad("word-joiner", match("{user: {ne: ann\u2060}}"), f"3:25 the character U+2060 {NO_CHARACTER}", unseen=YAML),
    Bad("key-is-null", match("{~: a}"), f"3:11 [p] match: unknown field '~'; expected one of {FIELDS_LISTED}"),
    Bad(
        "two-documents",
        "policies: []\n---\npolicies: []\n",
        "2:1 expected one document in a file, got a second one",
        unseen=YAML,
    ),
    Bad(
        "two-documents-without-a-separator",
        "policies: []\n...\nexemptions: []\n",
        f"3:1 {NOT_YAML}expected the end of the file here, because what stands before is complete",
        unseen=YAML,
    ),
    Bad(
        "template-braces",
        match("{user: {{ user }}}"),
        "3:17 [p] user: expected at least one operator, got an empty mapping",
        f"3:18 [p] {NO_KEY}",
        unseen=YAML,
    ),
    Bad(
        "template-at-the-start",
        "{{- if .Values.guard }}\npolicies: []\n",
        f"1:3 {NOT_YAML}a value may not begin with this sign; put the text in quotes",
        unseen=YAML,
    ),
    Bad("json-with-a-comment", '{"policies": [] // none\n}\n', f"1:17 {NOT_YAML}expected ',' or '}}' {HERE}", unseen=YAML),
    Bad(
        "half-a-surrogate-pair",
        match('{user: "\\ud83d"}'),
        "3:17 [p] the text holds half of a surrogate pair; write the character itself",
        unseen=YAML,
    ),
    Bad(
        "escape-that-does-not-exist",
        match('{user: "\\UFFFFFFFF"}'),
        f"3:20 {NOT_YAML}an escape or a version that does not exist",
        unseen=YAML,
    ),
    Bad(
        "version-of-yaml",
        "%YAML 3.0\n---\npolicies: []\n",
        f"1:1 {NOT_YAML}found incompatible YAML document (version 1.* is required)",
        unseen=YAML,
    ),
    Bad("unknown-directive-tag", "%TAG ! tag:x,2026:\n---\npolicies: !x []\n", f"3:11 {NO_TAG}", unseen=YAML),
    Bad(
        "crlf", "policies:\r\n- name: p\r\n  match: {usr: a}\r\n", "3:11 [p] match: unknown field 'usr' (did you mean user?)"
    ),
    Bad(
        "old-mac-line-ends",
        "policies:\r- name: p\r  match: {usr: a}\r",
        "3:11 [p] match: unknown field 'usr' (did you mean user?)",
    ),
    Bad(
        "byte-order-mark",
        "\ufeffpolicies:\n- name: p\n  match: {usr: a}\n",
        "3:11 [p] match: unknown field 'usr' (did you mean user?)",
    ),
    Bad(
        "byte-order-mark-in-the-middle",
        "policies:\n- name: \ufeffp\n  match: {user: a}\n",
        f"2:9 the character U+FEFF {NO_CHARACTER}",
        unseen=YAML,
    ),
    Bad(
        "columns-are-characters", match("{name: 训练😀, usr: a}"), "3:22 [p] match: unknown field 'usr' (did you mean user?)"
    ),
    Bad("utf-16", b"\xff\xfe" + "policies: []\n".encode("utf-16-le"), "1:1 expected UTF-8, got the byte 0xff", unseen=YAML),
    Bad(
        "latin-1", b"policies:\n- name: p\n  description: Geb\xfchr\n", "3:19 expected UTF-8, got the byte 0xfc", unseen=YAML
    ),
    Bad("cut-in-a-character", b"policies: [] # \xe8\xae", "1:16 expected UTF-8, got the byte 0xe8", unseen=YAML),
    Bad("nul", "policies: []\n\x00", f"2:1 the character U+0000 {NO_CHARACTER}", unseen=YAML),
    Bad("escape-character", match("{user: a\x1b[31m}"), f"3:18 the character U+001B {NO_CHARACTER}", unseen=YAML),
    Bad("hidden-line-end", "policies: [] # \u2028policies: 1\n", f"1:16 the character U+2028 {NO_CHARACTER}", unseen=YAML),
    Bad("next-line-character", "policies: [] # \x85\n", f"1:16 the character U+0085 {NO_CHARACTER}", unseen=YAML),
    Bad("turned-writing-direction", "policies: [] # \u202e\n", f"1:16 the character U+202E {NO_CHARACTER}", unseen=YAML),
    Bad(
        "no-break-space-for-indentation",
        "policies:\n-\xa0name: p\n",
        "1:10 policies: expected a list, got nothing",
        "2:1 unknown key '-\\xa0name'; an item of a list begins with a hyphen and a space",
    ),
    Bad("yes-for-true", policy("mode: yes"), "4:9 [p] mode: expected observe or enforce, got 'yes'"),
    Bad(
        "octal-of-yaml-1-1",
        match("{user: 0o17}"),
        '3:17 [p] user: expected text, got the number 0o17 (text is written "0o17")',
    ),
    Bad("octal-with-a-bad-digit", match("{cards: 0o18}"), "3:18 [p] cards: expected an integer, got the text '0o18'"),
    Bad("date-is-text", match("{cards: 2026-12-31}"), "3:18 [p] cards: expected an integer, got the text '2026-12-31'"),
    Bad("boolean-as-a-key", match("{true: a}"), "3:11 [p] match: unknown field 'true' (did you mean target?)"),
)

SIZES_AND_DEPTHS = (
    Bad(
        "larger-than-256-kib",
        "policies: []\n" + "#" * (256 * 1024 - 12),
        "0:0 expected a file of at most 262144 bytes (256 KiB), got a larger one",
        unseen=YAML,
    ),
    Bad("65-levels", "policies: " + "[" * 64 + "]" * 64 + "\n", "1:74 nested deeper than 64 levels", unseen=YAML),
    Bad(
        "30000-levels-of-not",
        "policies: [{name: p, match: " + "{not: " * 30_000,
        "1:395 nested deeper than 64 levels",
        unseen=YAML,
    ),
    Bad(
        "62-levels-of-not",
        "policies: [{name: p, match: " + "{not: " * 62 + "{user: a}" + "}" * 62 + "}]\n",
        "1:395 nested deeper than 64 levels",
        unseen=YAML,
    ),
    Bad(
        "long-text-is-cut",
        "policies: [{name: p, mode: " + "x" * 300 + ", match: {user: a}}]\n",
        f"1:28 [p] mode: expected observe or enforce, got '{LONG}...'",
    ),
    Bad(
        "long-key-is-cut",
        "policies: [{name: p, match: {" + "x" * 300 + ": a}}]\n",
        f"1:30 [p] match: unknown field '{LONG}...'; expected one of {FIELDS_LISTED}",
    ),
    Bad(
        "long-number-is-cut",
        "policies: [{name: p, match: {cards: " + "9" * 300 + "}}]\n",
        f"1:37 [p] cards: expected an integer {SHORTER}, got the number {NINES}",
    ),
    Bad(
        "long-key-of-a-flow-mapping",
        "policies: [{name: p, match: {" + "x" * 1025 + ": a}}]\n",
        f"1:1055 {NOT_YAML}expected ',' or '}}' {HERE}",
        unseen=YAML,
    ),
)
