"""
A fuzzer of policy files: arbitrary bytes, soups of the language's words, and valid files that were mutated.

Every input goes through the folder that the daemon reads. It must be taken or refused, within 3 seconds, with a place for
every error; what is refused must leave the set in force alone, and what is taken must fit the JSON Schema. Input *n* of a
seed is always the same, so a failure is repeated with ``--seed S --first N --inputs 1``.
"""

import argparse
import faulthandler
import json
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

import structlog
from jsonschema import Draft202012Validator

from guard.core.fields import FIELDS
from guard.core.load import EXEMPTION_KEYS, POLICY_KEYS, SECTIONS, load
from guard.core.operands import OPERATORS
from guard.core.policy import PolicySet
from guard.core.schema import policy_schema
from guard.daemon.policies import policy_folder
from guard.errors import PolicyErrors

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "core"))
from plain_values import plain_values  # noqa: E402  (it stands beside the tests of the core)

LIMIT_S = 3.0
GOOD = b"policies: [{name: base, match: {user: a, duration: {gt: 24h}}}]\n"
SEEDS = [
    path.read_bytes()
    for folder in (ROOT / "policies", ROOT / "tests" / "data" / "policies")
    for path in sorted(folder.rglob("*.yaml"))
    if not path.name.endswith(".test.yaml")
]
WORDS = [
    *(word.encode() for word in (*FIELDS, *OPERATORS, *SECTIONS, *POLICY_KEYS, *EXEMPTION_KEYS, "all", "any", "not")),
    *b": |,|[|]|{|}|- |\n|\n  |\n    |'|\"|#|&a |*a|!x |!!int |<<: |? |%|@|`||>|>-|---\n|...\n|\t|\r\n|~|null|yes".split(
        b"|"
    ),
    *b"24h|1h30m|90|-1|1.5|1e99|0x10|0o17|.inf|.nan|2026-12-31|2026-12-31T18:00:00Z|Running|enforce|terminate".split(b"|"),
    *b"(|)|(?i)|(a*)*|x{999}|[a-z]|[!|\\d|\\|*.eco|annotation.a|\xef\xbb\xbf|\x00|\xff|\xe2\x80\xa8|\xf0\x9f\x98\x80".split(
        b"|"
    ),
]


@dataclass(kw_only=True)
class Fuzzing:
    """
    One run: the folder under test, what is in force, and what was seen.
    """

    files: list[tuple[str, bytes]] = field(default_factory=lambda: [("a.yaml", GOOD)])
    taken: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.folder = policy_folder(read=lambda: self.files, zone=UTC)
        self.in_force = self.folder.first()
        self.validator = Draft202012Validator(policy_schema())

    def try_one(self, content: bytes, *, beside_a_good_one: bool) -> None:
        """
        Show one input to the folder; raises AssertionError, or whatever it should not have raised.
        """
        self.files = [("a.yaml", GOOD)] * beside_a_good_one + [("b.yaml", content)]
        self.now_s += 10
        before, began = self.folder.taken, time.thread_time()
        new = self.folder.poll(steady=lambda: self.now_s, at_once=True)
        took_s = time.thread_time() - began
        self.slowest_s = max(self.slowest_s, took_s)
        assert took_s < LIMIT_S, f"{took_s:.1f} s for one input"
        judged = _judge(self.files)
        if isinstance(judged, PolicySet):
            self.taken += 1
            assert new == judged or (new is None and self.folder.taken == before), "a good set was not taken"
            assert self.folder.error == "", "a good set left an error"
            assert all(policy.clause.parts for policy in judged.policies), "a policy without a condition"
            for _, one in self.files:
                self.validator.validate(plain_values(one))
            self.in_force = judged
        else:
            self.refused += 1
            assert new is None, "a bad set was taken"
            assert self.folder.taken == before, "a bad set counts as taken"
            assert self.folder.error, "a bad set left no error"
            last = content.count(b"\n") + content.count(b"\r") + 1
            for one in judged.diagnostics:
                assert one.message, f"no message: {one!r}"
                assert str(one).isprintable(), f"not for a terminal: {one!r}"
                assert 0 <= one.line <= last, f"no such line: {one}"
                assert (one.column >= 1) is (one.line >= 1), f"half a place: {one}"


def _judge(files: Sequence[tuple[str, bytes]]) -> PolicySet | PolicyErrors:
    try:
        return load(files, zone=UTC)
    except PolicyErrors as wrong:
        return wrong


def made(seed: int, number: int) -> tuple[bytes, bool]:
    """
    Return input *number* of a seed, and whether it lies beside a good file.
    """
    chance = random.Random(f"{seed}/{number}")
    kind = chance.random()
    if kind < 0.1:
        content = chance.randbytes(chance.randrange(400))
    elif kind < 0.25:
        content = b"".join(chance.choices(WORDS, k=chance.randrange(60)))
    elif kind < 0.45:
        content = json.dumps({"policies": [_value(chance, 4) for _ in range(3)]}).encode()
    else:
        content = chance.choice(SEEDS)
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            content = _mutated(content, chance)
    return content, chance.random() < 0.5


def _value(chance: random.Random, depth: int) -> object:
    kind = chance.random()
    words = [*FIELDS, *OPERATORS, *POLICY_KEYS, "all", "any", "not", "annotation.a"]
    if depth and kind < 0.5:
        return {chance.choice(words): _value(chance, depth - 1) for _ in range(chance.randrange(4))}
    if depth and kind < 0.6:
        return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return chance.choice(
        ("24h", "a", "Running", "p", 3, -1, 1.5, 1e30, 10**30, True, None, "", "*", "(", chance.choice(words))
    )


def _mutated(content: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(content) + 1)
    end = min(len(content), begin + chance.choice((0, 1, 1, 2, 5, 20, 100)))
    piece = content[begin:end]
    match chance.randrange(8):
        case 0:
            piece = b""
        case 1:
            piece = chance.randbytes(len(piece) + 1)
        case 2 | 3:
            piece += chance.choice(WORDS)
        case 4:
            piece = chance.choice(WORDS)
        case 5:
            piece *= chance.choice((2, 3, 50, 50, 3_000))
        case 6:
            other = chance.choice(SEEDS)
            at = chance.randrange(len(other))
            piece = other[at : at + chance.choice((5, 50, 500))]
        case _:
            lines = content.splitlines(keepends=True)
            chance.shuffle(lines)
            return b"".join(lines)
    return content[:begin] + piece + content[end:]


def main() -> int:
    """
    Fuzz for a time; ends with the traceback of the first input that is not handled as it should be.
    """
    asked = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    asked.add_argument("--seconds", type=float, default=60.0)
    asked.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asked.add_argument("--first", type=int, default=0)
    asked.add_argument("--inputs", type=int, default=10**9)
    options = asked.parse_args()
    faulthandler.enable()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    signal.signal(signal.SIGALRM, _too_long)
    run, began = Fuzzing(), time.monotonic()
    for number in range(options.first, options.first + options.inputs):
        if time.monotonic() - began > options.seconds:
            break
        content, beside = made(options.seed, number)
        signal.setitimer(signal.ITIMER_REAL, 2 * LIMIT_S)
        try:
            run.try_one(content, beside_a_good_one=beside)
        except BaseException:
            sys.stderr.write(f"--seed {options.seed} --first {number} --inputs 1: {content[:2000]!r}\n")
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    told = f"seed {options.seed}: {run.taken} sets taken, {run.refused} refused, slowest {run.slowest_s:.2f} s"
    sys.stdout.write(f"{told}\n")
    return 0


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {2 * LIMIT_S} s for one input")


if __name__ == "__main__":
    raise SystemExit(main())
