"""
Bad operands of every type. A part of the table of `test_bad_policies`.
"""

from bad_row import JSON, LENGTH, PATTERN, Bad, match

A_SPAN = "expected a span such as 90s, 15m, 24h, 7d or 1h30m"
ZEROS = "0" * 41
IN_RE2 = "no argument for repetition operator: *; any text is .* here, and * only in a glob"
SHORTER = "of at most 40 characters, with an exponent of at most 2 digits"
REPEATED = "at most 1000 repetitions, nested ones multiplied"

OPERANDS_BY_TYPE = (
    Bad("text-is-a-number", match("{user: 1}"), '3:17 [p] user: expected text, got the number 1 (text is written "1")'),
    Bad(
        "text-is-a-boolean",
        match("{user: true}"),
        '3:17 [p] user: expected text, got the boolean true (text is written "true")',
    ),
    Bad("text-is-nothing", match("{user: }"), "3:16 [p] user: expected text, got nothing"),
    Bad("text-is-null", match("{user: null}"), "3:17 [p] user: expected text, got nothing"),
    Bad(
        "text-is-a-decimal",
        match("{user: 1.5}"),
        '3:17 [p] user: expected text, got the decimal number 1.5 (text is written "1.5")',
    ),
    Bad(
        "text-in-with-a-number",
        match("{workspace: [0, '1']}"),
        '3:23 [p] workspace: expected text, got the number 0 (text is written "0")',
    ),
    Bad("text-in-is-text", match("{user: {in: a}}"), "3:22 [p] user: 'in' expected a list, got the text 'a'"),
    Bad("text-in-is-empty", match("{user: {in: []}}"), "3:22 [p] user: 'in' expected at least one value, got an empty list"),
    Bad("text-list-is-empty", match("{user: []}"), "3:17 [p] user: 'in' expected at least one value, got an empty list"),
    Bad("text-in-with-a-list", match("{user: {in: [[a]]}}"), "3:23 [p] user: expected text, got a list"),
    Bad("text-not-in-with-null", match("{user: {not_in: [a, ~]}}"), "3:30 [p] user: expected text, got nothing"),
    Bad(
        "text-eq-is-a-list",
        match("{user: {eq: [a, b]}}"),
        "3:22 [p] user: 'eq' expected one value, got a list (a list goes with 'in')",
    ),
    Bad("text-ne-is-a-mapping", match("{user: {ne: {a: b}}}"), "3:22 [p] user: expected text, got a mapping"),
    Bad(
        "glob-is-a-number",
        match("{name: {glob: 7}}"),
        '3:24 [p] name: expected text, got the number 7 (text is written "7")',
    ),
    Bad("glob-is-a-list", match("{name: {glob: [a*, b*]}}"), "3:24 [p] name: expected text, got a list"),
    Bad(
        "glob-bracket-open",
        match("{name: {glob: 'a[b'}}"),
        "3:24 [p] name: 'a[b' is not a valid glob: the '[' is never closed; write [[] for a bracket itself",
        unseen=PATTERN,
    ),
    Bad(
        "glob-range-backwards",
        match("{name: {glob: '[z-a]'}}"),
        "3:24 [p] name: '[z-a]' is not a valid glob: the range 'z-a' runs backwards",
        unseen=PATTERN,
    ),
    Bad("regex-is-nothing", match("{name: {regex: }}"), "3:24 [p] name: expected text, got nothing"),
    Bad(
        "regex-parenthesis-open",
        match("{name: {regex: '(a'}}"),
        "3:25 [p] name: '(a' is not a valid regex: missing ): (a",
        unseen=PATTERN,
    ),
    Bad(
        "regex-bracket-open",
        match("{name: {regex: '[a'}}"),
        "3:25 [p] name: '[a' is not a valid regex: missing ]: [a",
        unseen=PATTERN,
    ),
    Bad(
        "regex-lookahead",
        match("{name: {regex: '(?!a).*'}}"),
        "3:25 [p] name: '(?!a).*' is not a valid regex: invalid perl operator: (?!; RE2 has no lookahead and no lookbehind",
        unseen=PATTERN,
    ),
    Bad(
        "regex-backreference",
        match("{name: {regex: '(a)\\1'}}"),
        "3:25 [p] name: '(a)\\1' is not a valid regex: "
        "invalid escape sequence: \\1; RE2 has no such escape and no backreferences",
        unseen=PATTERN,
    ),
    Bad(
        "regex-star-alone",
        match("{name: {regex: '*.eco'}}"),
        f"3:25 [p] name: '*.eco' is not a valid regex: {IN_RE2}",
        unseen=PATTERN,
    ),
    Bad(
        "regex-repeats-too-often",
        match("{name: {regex: 'a{1001}'}}"),
        f"3:25 [p] name: 'a{{1001}}' is not a valid regex: invalid repetition size: {{1001}}; {REPEATED}",
        unseen=PATTERN,
    ),
    Bad(
        "regex-too-large",
        match("{name: {regex: '((a{100}){100}){100}'}}"),
        f"3:25 [p] name: '((a{{100}}){{100}}){{100}}' is not a valid regex: invalid repetition size: {{100}}; {REPEATED}",
        unseen=PATTERN,
    ),
    Bad("integer-is-a-decimal", match("{cards: 2.5}"), "3:18 [p] cards: expected an integer, got the decimal number 2.5"),
    Bad(
        "integer-is-a-whole-decimal",
        match("{cards: 2.0}"),
        "3:18 [p] cards: expected an integer, got the decimal number 2.0",
        unseen=JSON,
    ),
    Bad("integer-is-text", match("{cards: many}"), "3:18 [p] cards: expected an integer, got the text 'many'"),
    Bad(
        "integer-is-quoted",
        match("{cards: '8'}"),
        "3:18 [p] cards: expected an integer, got the text '8' (numbers stand without quotes)",
    ),
    Bad("integer-is-a-boolean", match("{cards: true}"), "3:18 [p] cards: expected an integer, got the boolean true"),
    Bad("integer-is-nothing", match("{cards: {gt: }}"), "3:22 [p] cards: expected an integer, got nothing"),
    Bad("integer-is-a-list", match("{cards: {gt: [1]}}"), "3:23 [p] cards: expected an integer, got a list"),
    Bad(
        "integer-with-thousands",
        match("{cards: 1_000}"),
        "3:18 [p] cards: expected an integer, got the text '1_000' (numbers stand without separators)",
    ),
    Bad(
        "integer-with-a-comma",
        match("{cards: '1,000'}"),
        "3:18 [p] cards: expected an integer, got the text '1,000' (numbers stand without separators)",
    ),
    Bad("integer-is-sexagesimal", match("{cards: 1:30}"), "3:18 [p] cards: expected an integer, got the text '1:30'"),
    Bad("integer-in-binary", match("{cards: 0b11}"), "3:18 [p] cards: expected an integer, got the text '0b11'"),
    Bad(
        "integer-too-large",
        match("{cards: 1000000000000001}"),
        "3:18 [p] cards: expected an integer from -10^15 to 10^15, got the number 1000000000000001",
    ),
    Bad(
        "integer-too-small",
        match("{cards: {gt: -1000000000000001}}"),
        "3:23 [p] cards: expected an integer from -10^15 to 10^15, got the number -1000000000000001",
    ),
    Bad(
        "integer-with-41-digits",
        match("{cards: 00000000000000000000000000000000000000000}"),
        f"3:18 [p] cards: expected an integer {SHORTER}, got the number {ZEROS}",
        unseen=LENGTH,
    ),
    Bad(
        "integer-in-with-text",
        match("{node_count: [1, two, 3, '4']}"),
        "3:27 [p] node_count: expected an integer, got the text 'two'",
        "3:35 [p] node_count: expected an integer, got the text '4' (numbers stand without quotes)",
    ),
    Bad(
        "integer-in-is-a-number",
        match("{node_count: {in: 4}}"),
        "3:28 [p] node_count: 'in' expected a list, got the number 4",
    ),
    Bad("integer-is-a-span", match("{cards: {gt: 24h}}"), "3:23 [p] cards: expected an integer, got the text '24h'"),
    Bad("number-is-text", match("{cost: {gt: a lot}}"), "3:22 [p] cost: expected a number, got the text 'a lot'"),
    Bad(
        "number-is-quoted",
        match("{cost: {gt: '2200'}}"),
        "3:22 [p] cost: expected a number, got the text '2200' (numbers stand without quotes)",
    ),
    Bad(
        "number-with-a-currency",
        match("{cost: {gt: 2200 CNY}}"),
        "3:22 [p] cost: expected a number, got the text '2200 CNY'",
    ),
    Bad("number-with-a-comma", match("{cost: {gt: '2,5'}}"), "3:22 [p] cost: expected a number, got the text '2,5'"),
    Bad(
        "number-is-endless",
        match("{cost_rate: {gt: .inf}}"),
        "3:27 [p] cost_rate: expected a number, got the non-finite number .inf",
    ),
    Bad(
        "number-is-not-a-number",
        match("{cost_rate: .nan}"),
        "3:22 [p] cost_rate: expected a number, got the non-finite number .nan",
        unseen=JSON,
    ),
    Bad("number-is-a-boolean", match("{cost_rate: false}"), "3:22 [p] cost_rate: expected a number, got the boolean false"),
    Bad(
        "number-with-a-huge-exponent",
        match("{cost: {gt: 1e16}}"),
        "3:22 [p] cost: expected a number from -10^15 to 10^15, got the decimal number 1e16",
    ),
    Bad(
        "number-with-a-long-exponent",
        match("{cost: {gt: 1e-100}}"),
        f"3:22 [p] cost: expected a number {SHORTER}, got the decimal number 1e-100",
        unseen=LENGTH,
    ),
    Bad("number-is-a-mapping", match("{cost: {gt: {usd: 1}}}"), "3:22 [p] cost: expected a number, got a mapping"),
    Bad(
        "span-is-a-number",
        match("{duration: {gt: 24}}"),
        f"3:26 [p] duration: {A_SPAN}, got the number 24 (write 24s or 24h?)",
    ),
    Bad(
        "span-is-a-number-of-seconds",
        match("{duration: {gt: 86400}}"),
        f"3:26 [p] duration: {A_SPAN}, got the number 86400 (write 24h?)",
    ),
    Bad("span-is-zero", match("{duration: {gt: 0}}"), f"3:26 [p] duration: {A_SPAN}, got the number 0"),
    Bad("span-is-negative", match("{duration: {gt: -1h}}"), f"3:26 [p] duration: {A_SPAN}, got the text '-1h'"),
    Bad("span-is-a-decimal", match("{duration: {gt: 1.5}}"), f"3:26 [p] duration: {A_SPAN}, got the decimal number 1.5"),
    Bad(
        "span-with-a-decimal",
        match("{duration: {gt: 1.5h}}"),
        f"3:26 [p] duration: {A_SPAN}, got the text '1.5h' (write 1h30m?)",
    ),
    Bad(
        "span-with-a-space",
        match("{duration: {gt: 24 h}}"),
        f"3:26 [p] duration: {A_SPAN}, got the text '24 h' (write 24h?)",
    ),
    Bad(
        "span-in-words", match("{duration: {gt: 1 day}}"), f"3:26 [p] duration: {A_SPAN}, got the text '1 day' (write 24h?)"
    ),
    Bad("span-in-weeks", match("{duration: {gt: 2w}}"), f"3:26 [p] duration: {A_SPAN}, got the text '2w' (write 14d?)"),
    Bad("span-in-capitals", match("{duration: {gt: 24H}}"), f"3:26 [p] duration: {A_SPAN}, got the text '24H' (write 24h?)"),
    Bad("span-in-milliseconds", match("{duration: {gt: 500ms}}"), f"3:26 [p] duration: {A_SPAN}, got the text '500ms'"),
    Bad(
        "span-in-the-wrong-order",
        match("{duration: {gt: 30m1h}}"),
        f"3:26 [p] duration: {A_SPAN}, got the text '30m1h' (write 1h30m?)",
    ),
    Bad(
        "span-with-a-unit-twice",
        match("{duration: {gt: 1h1h}}"),
        f"3:26 [p] duration: {A_SPAN}, got the text '1h1h' (write 2h?)",
    ),
    Bad("span-is-a-clock-time", match("{duration: {gt: 24:00}}"), f"3:26 [p] duration: {A_SPAN}, got the text '24:00'"),
    Bad(
        "span-in-iso-8601",
        match("{duration: {gt: PT24H}}"),
        f"3:26 [p] duration: {A_SPAN}, got the text 'PT24H' (write 24h?)",
    ),
    Bad("span-is-nothing", match("{duration: {gt: }}"), f"3:25 [p] duration: {A_SPAN}, got nothing"),
    Bad("span-is-empty", match("{duration: {gt: ''}}"), f"3:26 [p] duration: {A_SPAN}, got the text ''"),
    Bad("span-is-a-boolean", match("{duration: {gt: true}}"), f"3:26 [p] duration: {A_SPAN}, got the boolean true"),
    Bad("span-is-a-list", match("{duration: {gt: [24h]}}"), f"3:26 [p] duration: {A_SPAN}, got a list"),
    Bad(
        "span-with-ten-digits",
        match("{duration: {gt: 1000000000s}}"),
        f"3:26 [p] duration: {A_SPAN}, got the text '1000000000s'",
    ),
    Bad(
        "exists-is-text",
        match("{pool_id: {exists: 'true'}}"),
        "3:29 [p] pool_id: 'exists' expected true or false, got the text 'true'",
    ),
    Bad(
        "exists-is-yes",
        match("{pool_id: {exists: yes}}"),
        "3:29 [p] pool_id: 'exists' expected true or false, got the text 'yes'",
    ),
    Bad(
        "exists-is-a-number",
        match("{pool_id: {exists: 1}}"),
        "3:29 [p] pool_id: 'exists' expected true or false, got the number 1",
    ),
    Bad(
        "exists-is-nothing", match("{pool_id: {exists: }}"), "3:28 [p] pool_id: 'exists' expected true or false, got nothing"
    ),
    Bad(
        "exists-is-a-list",
        match("{pool_id: {exists: [true]}}"),
        "3:29 [p] pool_id: 'exists' expected true or false, got a list",
    ),
)
