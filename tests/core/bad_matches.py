"""
Bad clauses, phases and operators. A part of the table of `test_bad_policies`.
"""

from bad_row import Bad, block, exemption, match

FIELDS_LISTED = (
    "billing_code, unit_num, node_count, cards, flavor_id, flavor_type, accelerator, duration, age, "
    "waiting, total_cards, card_hours, cost, cost_rate, phase, pool_id, user, name, id, kind, "
    "description, engine, image, target, region, project, workspace, annotation.<key>"
)
PHASES = "Abnormal, Completed, Creating, Failed, Pending, Running, Terminated, Terminating"
GROWS = "does not fit a field that grows with time"
OF_TEXT = "expected one of eq, ne, in, not_in, glob, regex, exists"
OF_NUMBERS = "expected one of eq, ne, in, not_in, gt, gte, lt, lte, exists"
OF_GROWING = "expected one of gt, gte, lt, lte, exists"
BESIDE = "a job never waits and runs at once"
TOP_ONLY = "phase: may stand only at the top level of match, got it inside"

MATCH = (
    Bad("match-is-empty", match("{}"), "3:10 [p] match: expected at least one condition, got an empty mapping"),
    Bad("match-is-nothing", match(""), "3:9 [p] match: expected a mapping of conditions, got nothing"),
    Bad("match-is-text", match("everything"), "3:10 [p] match: expected a mapping of conditions, got the text 'everything'"),
    Bad("match-is-a-list", match("[{user: a}]"), "3:10 [p] match: expected a mapping of conditions, got a list"),
    Bad("unknown-field", match("{gpu_count: 8}"), "3:11 [p] match: unknown field 'gpu_count' (did you mean node_count?)"),
    Bad(
        "mistyped-field",
        match("{billing_cod: a}"),
        "3:11 [p] match: unknown field 'billing_cod' (did you mean billing_code?)",
    ),
    Bad("field-in-capitals", match("{User: a}"), "3:11 [p] match: unknown field 'User' (did you mean user?)"),
    Bad(
        "field-with-hyphen",
        match("{node-count: 1}"),
        "3:11 [p] match: unknown field 'node-count' (did you mean node_count?)",
    ),
    Bad(
        "operator-for-a-field",
        match("{gt: 24h}"),
        "3:11 [p] match: unknown field 'gt'; an operator stands behind a field, as in 'duration: {gt: 24h}'",
    ),
    Bad(
        "annotation-alone",
        match("{annotation: a}"),
        "3:11 [p] match: unknown field 'annotation' (did you mean annotation.<key>?)",
    ),
    Bad(
        "annotation-without-a-key",
        match("{annotation.: a}"),
        "3:11 [p] match: unknown field 'annotation.' (did you mean annotation.<key>?)",
    ),
    Bad(
        "annotation-as-a-mapping",
        match("{annotation: {team: a}}"),
        "3:11 [p] match: unknown field 'annotation' (did you mean annotation.<key>?)",
    ),
    Bad(
        "annotation-of-a-number",
        match("{annotation.keep: 1}"),
        '3:28 [p] annotation.keep: expected text, got the number 1 (text is written "1")',
    ),
    Bad(
        "annotation-with-gt",
        match("{annotation.keep: {gt: 1}}"),
        f"3:29 [p] annotation.keep: 'gt' does not fit text; {OF_TEXT}",
    ),
    Bad("all-is-a-mapping", match("{all: {user: a}}"), "3:16 [p] all: expected a list of conditions, got a mapping"),
    Bad("all-is-empty", match("{all: []}"), "3:16 [p] all: expected at least one item, got an empty list"),
    Bad("all-is-nothing", match("{all: }"), "3:15 [p] all: expected a list of conditions, got nothing"),
    Bad("any-is-text", match("{any: user}"), "3:16 [p] any: expected a list of conditions, got the text 'user'"),
    Bad("any-is-empty", match("{any: []}"), "3:16 [p] any: expected at least one item, got an empty list"),
    Bad(
        "any-of-texts",
        match("{any: [user, name]}"),
        "3:17 [p] any: expected a mapping of conditions, got the text 'user'",
        "3:23 [p] any: expected a mapping of conditions, got the text 'name'",
    ),
    Bad(
        "any-of-an-empty-mapping",
        match("{any: [{}]}"),
        "3:17 [p] any: expected at least one condition, got an empty mapping",
    ),
    Bad("any-of-a-list", match("{any: [[{user: a}]]}"), "3:17 [p] any: expected a mapping of conditions, got a list"),
    Bad("not-is-a-list", match("{not: [{user: a}]}"), "3:16 [p] not: expected a mapping of conditions, got a list"),
    Bad("not-is-empty", match("{not: {}}"), "3:16 [p] not: expected at least one condition, got an empty mapping"),
    Bad("not-is-a-scalar", match("{not: true}"), "3:16 [p] not: expected a mapping of conditions, got the boolean true"),
    Bad("or-for-any", match("{or: [{user: a}]}"), "3:11 [p] match: unknown field 'or' (did you mean any?)"),
    Bad("and-for-all", match("{and: [{user: a}]}"), "3:11 [p] match: unknown field 'and' (did you mean all?)"),
    Bad("none-for-not", match("{none: [{user: a}]}"), "3:11 [p] match: unknown field 'none' (did you mean not?)"),
    Bad("capital-all", match("{ALL: [{user: a}]}"), "3:11 [p] match: unknown field 'ALL' (did you mean all?)"),
    Bad(
        "deep-unknown-field",
        match("{all: [{any: [{not: {usr: a}}]}]}"),
        "3:31 [p] not: unknown field 'usr' (did you mean user?)",
    ),
    Bad(
        "match-inside-match",
        match("{match: {user: a}}"),
        f"3:11 [p] match: unknown field 'match'; expected one of {FIELDS_LISTED}",
    ),
    Bad(
        "several-errors",
        block("    usr: a\n    cards: {gt: x}\n    any:\n    - age: 24h\n    - {}\n"),
        "4:5 [p] match: unknown field 'usr' (did you mean user?)",
        "5:17 [p] cards: expected an integer, got the text 'x'",
        f"7:12 [p] age: a bare value means 'eq', which {GROWS}; write for example {{gt: 24h}}",
        "8:7 [p] any: expected at least one condition, got an empty mapping",
    ),
)

PHASE_AND_WAITING = (
    Bad("phase-inside-all", match("{all: [{phase: Running}]}"), f"3:18 [p] {TOP_ONLY} 'all'"),
    Bad("phase-inside-any", match("{any: [{phase: Running}, {user: a}]}"), f"3:18 [p] {TOP_ONLY} 'any'"),
    Bad("phase-inside-not", match("{not: {phase: Running}}"), f"3:17 [p] {TOP_ONLY} 'not'"),
    Bad("phase-deep-inside", match("{any: [{all: [{not: {phase: Running}}]}]}"), f"3:31 [p] {TOP_ONLY} 'not'"),
    Bad("phase-inside-an-exemption", exemption("match: {not: {phase: Running}}"), f"6:17 [e] {TOP_ONLY} 'not'"),
    Bad(
        "phase-in-small-letters",
        match("{phase: running}"),
        f"3:18 [p] phase: unknown phase 'running' (did you mean Running?); expected one of {PHASES}",
    ),
    Bad(
        "phase-mistyped",
        match("{phase: Runing}"),
        f"3:18 [p] phase: unknown phase 'Runing' (did you mean Running?); expected one of {PHASES}",
    ),
    Bad("phase-unknown", match("{phase: Queued}"), f"3:18 [p] phase: unknown phase 'Queued'; expected one of {PHASES}"),
    Bad(
        "phase-in-a-list",
        match("{phase: [Running, Stopped]}"),
        f"3:28 [p] phase: unknown phase 'Stopped'; expected one of {PHASES}",
    ),
    Bad(
        "phase-ne",
        match("{phase: {ne: Terminate}}"),
        f"3:23 [p] phase: unknown phase 'Terminate' (did you mean Terminated?); expected one of {PHASES}",
    ),
    Bad(
        "phase-not-in",
        match("{phase: {not_in: [Completed, failed]}}"),
        f"3:39 [p] phase: unknown phase 'failed' (did you mean Failed?); expected one of {PHASES}",
    ),
    Bad("phase-is-a-number", match("{phase: 1}"), f"3:18 [p] phase: expected one of {PHASES}, got the number 1"),
    Bad("phase-gt", match("{phase: {gt: Running}}"), f"3:19 [p] phase: 'gt' does not fit text; {OF_TEXT}"),
    Bad(
        "phase-is-an-empty-list", match("{phase: []}"), "3:18 [p] phase: 'in' expected at least one value, got an empty list"
    ),
    Bad(
        "waiting-beside-duration",
        match("{waiting: {gt: 1h}, duration: {gt: 1h}}"),
        f"3:30 [p] duration: may not stand beside 'waiting' (line 3): {BESIDE}",
    ),
    Bad(
        "waiting-beside-cost",
        match("{cost: {gt: 1}, waiting: {gt: 1h}}"),
        f"3:11 [p] cost: may not stand beside 'waiting' (line 3): {BESIDE}",
    ),
    Bad(
        "waiting-beside-card-hours",
        match("{waiting: {gt: 1h}, card_hours: {gt: 1}}"),
        f"3:30 [p] card_hours: may not stand beside 'waiting' (line 3): {BESIDE}",
    ),
    Bad(
        "waiting-in-another-branch",
        match("{any: [{waiting: {gt: 1h}}, {duration: {gt: 1h}}]}"),
        f"3:39 [p] duration: may not stand beside 'waiting' (line 3): {BESIDE}",
    ),
    Bad(
        "waiting-inside-not",
        match("{not: {all: [{waiting: {gt: 1h}}]}, any: [{not: {cost: {gt: 1}}}]}"),
        f"3:59 [p] cost: may not stand beside 'waiting' (line 3): {BESIDE}",
    ),
    Bad(
        "waiting-beside-everything",
        block("    cost: {gt: 1}\n    duration: {gt: 1h}\n    card_hours: {gt: 1}\n    waiting: {gt: 1h}\n"),
        f"4:5 [p] cost: may not stand beside 'waiting' (line 7): {BESIDE}",
        f"5:5 [p] duration: may not stand beside 'waiting' (line 7): {BESIDE}",
        f"6:5 [p] card_hours: may not stand beside 'waiting' (line 7): {BESIDE}",
    ),
)

OPERATORS_BY_TYPE = (
    Bad("text-gt", match("{user: {gt: a}}"), f"3:18 [p] user: 'gt' does not fit text; {OF_TEXT}"),
    Bad("text-gte", match("{user: {gte: a}}"), f"3:18 [p] user: 'gte' does not fit text; {OF_TEXT}"),
    Bad("text-lt", match("{user: {lt: a}}"), f"3:18 [p] user: 'lt' does not fit text; {OF_TEXT}"),
    Bad("text-lte", match("{user: {lte: a}}"), f"3:18 [p] user: 'lte' does not fit text; {OF_TEXT}"),
    Bad("integer-glob", match("{cards: {glob: '1*'}}"), f"3:19 [p] cards: 'glob' does not fit an integer; {OF_NUMBERS}"),
    Bad("integer-regex", match("{cards: {regex: '1.*'}}"), f"3:19 [p] cards: 'regex' does not fit an integer; {OF_NUMBERS}"),
    Bad(
        "number-glob", match("{cost_rate: {glob: '1*'}}"), f"3:23 [p] cost_rate: 'glob' does not fit a number; {OF_NUMBERS}"
    ),
    Bad(
        "number-regex",
        match("{cost_rate: {regex: '1.*'}}"),
        f"3:23 [p] cost_rate: 'regex' does not fit a number; {OF_NUMBERS}",
    ),
    Bad("growing-number-eq", match("{cost: {eq: 1}}"), f"3:18 [p] cost: 'eq' {GROWS}; {OF_GROWING}"),
    Bad("growing-number-ne", match("{cost: {ne: 1}}"), f"3:18 [p] cost: 'ne' {GROWS}; {OF_GROWING}"),
    Bad("growing-number-in", match("{cost: {in: [1]}}"), f"3:18 [p] cost: 'in' {GROWS}; {OF_GROWING}"),
    Bad("growing-number-not-in", match("{cost: {not_in: [1]}}"), f"3:18 [p] cost: 'not_in' {GROWS}; {OF_GROWING}"),
    Bad("growing-number-glob", match("{cost: {glob: '1*'}}"), f"3:18 [p] cost: 'glob' does not fit a number; {OF_GROWING}"),
    Bad(
        "growing-number-regex",
        match("{cost: {regex: '1.*'}}"),
        f"3:18 [p] cost: 'regex' does not fit a number; {OF_GROWING}",
    ),
    Bad("span-eq", match("{duration: {eq: 24h}}"), f"3:22 [p] duration: 'eq' {GROWS}; {OF_GROWING}"),
    Bad("span-ne", match("{duration: {ne: 24h}}"), f"3:22 [p] duration: 'ne' {GROWS}; {OF_GROWING}"),
    Bad("span-in", match("{duration: {in: [24h]}}"), f"3:22 [p] duration: 'in' {GROWS}; {OF_GROWING}"),
    Bad("span-not-in", match("{duration: {not_in: [24h]}}"), f"3:22 [p] duration: 'not_in' {GROWS}; {OF_GROWING}"),
    Bad("span-glob", match("{duration: {glob: 24*}}"), f"3:22 [p] duration: 'glob' does not fit a span; {OF_GROWING}"),
    Bad("span-regex", match("{duration: {regex: 24.}}"), f"3:22 [p] duration: 'regex' does not fit a span; {OF_GROWING}"),
    Bad(
        "span-equals",
        match("{duration: 24h}"),
        f"3:21 [p] duration: a bare value means 'eq', which {GROWS}; write for example {{gt: 24h}}",
    ),
    Bad(
        "span-in-a-list",
        match("{age: [24h, 48h]}"),
        f"3:16 [p] age: a list means 'in', which {GROWS}; write for example {{gt: 24h}}",
    ),
    Bad(
        "growing-number-equals",
        match("{card_hours: 100}"),
        f"3:23 [p] card_hours: a bare value means 'eq', which {GROWS}; write for example {{gt: 100}}",
    ),
    Bad("unknown-operator", match("{user: {like: a}}"), f"3:18 [p] user: unknown operator 'like'; {OF_TEXT}"),
    Bad(
        "mistyped-operator",
        match("{user: {regexp: a}}"),
        f"3:18 [p] user: unknown operator 'regexp' (did you mean regex?); {OF_TEXT}",
    ),
    Bad(
        "operator-in-capitals",
        match("{cards: {GT: 1}}"),
        f"3:19 [p] cards: unknown operator 'GT' (did you mean gt?); {OF_NUMBERS}",
    ),
    Bad("sign-for-gt", match("{cards: {'>': 1}}"), f"3:19 [p] cards: unknown operator '>' (did you mean gt?); {OF_NUMBERS}"),
    Bad(
        "sign-for-eq", match("{cards: {'==': 1}}"), f"3:19 [p] cards: unknown operator '==' (did you mean eq?); {OF_NUMBERS}"
    ),
    Bad(
        "sign-for-gte",
        match("{cards: {'>=': 1}}"),
        f"3:19 [p] cards: unknown operator '>=' (did you mean gte?); {OF_NUMBERS}",
    ),
    Bad("no-operator", match("{user: {}}"), "3:17 [p] user: expected at least one operator, got an empty mapping"),
    Bad("not-for-ne", match("{user: {not: a}}"), f"3:18 [p] user: unknown operator 'not' (did you mean not_in?); {OF_TEXT}"),
    Bad("between", match("{cards: {between: [1, 2]}}"), f"3:19 [p] cards: unknown operator 'between'; {OF_NUMBERS}"),
)
