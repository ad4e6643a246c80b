"""
The history of a year: what a run costs on disk, how fast ends are written, and how soon a month's spend is known.

The guard's own write path is measured with some ten thousand ends, beside plain sqlite3 that writes the same rows. The year
is made of runs that went that way too; most are copies of them under other ids and moments, made inside SQLite, because ten
million jobs as Python values would take most of an hour to make and to write.
"""

import asyncio
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import yaml

from benchmarks.figures import ROUNDS, Figure, Result, Rounds, alternating
from benchmarks.service import ROOT
from guard.core.ended import Ended, Told
from guard.core.facts import Job, JobKey, Resource
from guard.core.sighting import Sighting
from guard.core.spans import DAY_MS, HOUR_MS, MINUTE_MS
from guard.daemon.endings import BATCH
from guard.ledger import open_ledger

BEGAN_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
YEAR_MS = 365 * DAY_MS
USERS, STEMS = 400, 2_000
CODES = ("modelarts.vm.gpu.p100.eco", "modelarts.vm.gpu.pnt1.eco", "modelarts.kat1.8xlarge", "modelarts.p3.8xlarge")
PHASES = ("Completed", "Completed", "Completed", "Failed", "Terminated")
LIMIT_MIB = 500
MONTH = ("2025-06-01", "2025-06-30")
MONTH_MS = tuple(int(datetime.fromisoformat(f"{day}T00:00:00Z").timestamp() * 1000) for day in ("2025-06-01", "2025-07-01"))

PLAIN = (
    "CREATE TABLE runs (region TEXT, project_id TEXT, job_id TEXT, run INTEGER, target TEXT, workspace TEXT, user TEXT,"
    " name TEXT, kind TEXT, phase TEXT, policy TEXT, billing_codes TEXT, cards INTEGER, created_ms INTEGER,"
    " started_ms INTEGER, ended_ms INTEGER, running_ms INTEGER, cost TEXT, currency TEXT)"
)
PLAIN_INDEXES = (
    "CREATE UNIQUE INDEX one ON runs (region, project_id, job_id, run)",
    "CREATE INDEX by_end ON runs (ended_ms)",
)

# What a person would ask of the history: whole runs that ended in the month, without the parts that reach into it.
BY_HAND = (
    "SELECT words.text, count(*), sum(running_ms), sum(cost_units), sum(cost_rest) FROM history"
    " JOIN words ON words.id = user_word WHERE ended_ms >= ? AND ended_ms < ? GROUP BY user_word"
)
# The command as it is typed, which tells at its end how much memory it ever had; a parent is told of its own memory too.
GUARD = (
    "import atexit, sys, guard.cli\n"
    "atexit.register(lambda: sys.stderr.write(open('/proc/self/status').read()))\n"
    "sys.argv[0] = 'guard'\n"
    "guard.cli.main()"
)
_COPIED = (
    "running_ms, entry_ms, age_ms, span_ms, run, told, by_itself, phase_word, place_word, parts_word, stem_word, rest,"
    " cards, currency_word, cost_units, cost_rest"
)
COPIES = (
    f"INSERT INTO history (ended_ms, job, user_word, {_COPIED})"  # noqa: S608 - our own columns
    " SELECT ended_ms + :later, CAST(x'00' || randomblob(16) AS BLOB),"
    f" (SELECT word FROM fellows WHERE place = 1 + (number * 7 + :later) % :users), {_COPIED}"
    " FROM history WHERE number <= :seeds ORDER BY number"
)


def run(*, quick: bool) -> Result:
    """
    Write ends both ways in turn, then a year of them, and sum up a month of it.
    """
    each, seeds, rows, rounds = (400, 400, 4_000, 1) if quick else (10_000, 50_000, 10_000_000, ROUNDS)
    result = Result(name="history")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = _written(folder, each, rounds)
        ledger = folder / "guard.db"
        asyncio.run(_seeded(ledger, seeds, over_ms=YEAR_MS * seeds // rows))
        filled_s = _filled(ledger, seeds, rows)
        held, plain = _bytes_per_row(ledger, "history"), _plain_bytes_per_row(folder, seeds)
        command_s, peak_mib = _command(folder, ledger)
        got = alternating(lambda: _command(folder, ledger)[0], lambda: _by_hand(ledger), rounds=rounds)
        runs = _count(ledger, "SELECT count(*) FROM history WHERE ended_ms >= ? AND ended_ms < ?", MONTH_MS)
    rate, bare_rate = (each / one for one in written.medians)
    ours, bare = got.medians
    result.figures = [
        Figure(
            name=f"ends written, {BATCH} to a durable transaction",
            value=rate,
            unit="rows/s",
            bare=bare_rate,
            bare_is="plain sqlite3, executemany",
            ratio=1 / written.ratio,
        ),
        Figure(
            name=f"{rows:,} runs of 12 months, indexes and words included",
            value=held,
            unit="bytes/row",
            bare=plain,
            bare_is="plain columns in sqlite3",
            ratio=held / plain,
        ),
        Figure(
            name=f"guard spend --by user of a month, {runs:,} runs",
            value=ours,
            unit="s",
            bare=bare,
            bare_is="the same SQL by hand",
            ratio=got.ratio,
        ),
        Figure(
            name="peak RSS of that command",
            value=peak_mib,
            unit="MiB",
            wanted=f"< {LIMIT_MIB} MiB",
            met=peak_mib < LIMIT_MIB,
        ),
    ]
    result.notes = [
        f"of the runs {seeds:,} went through the guard's write path and the rest are copies of them, made inside SQLite in "
        f"{filled_s:.0f} s; the file is the one that such runs would make.",
        "the command's time is that of the whole process, which takes over a second to start; by hand is a process too. The "
        "command also cuts the runs that reach over the month's borders, which the SQL does not, and shows its "
        "progress day by day on a terminal.",
    ]
    result.details = {
        "write_s": written.ours,
        "plain_write_s": written.bare,
        "spend_s": got.ours,
        "by_hand_s": got.bare,
        "first_spend_s": command_s,
        "fill_s": filled_s,
        "month_runs": runs,
    }
    return result


def ends(rng: random.Random, count: int, *, over_ms: int) -> Iterator[Ended]:
    """
    Yield runs that ended one after another within that time, most of them after hours, a few after weeks.
    """
    for number in range(count):
        ended_ms = BEGAN_MS + over_ms * number // count
        running_ms = int(rng.expovariate(1 / 3) ** 2 * HOUR_MS / 3)
        waited_ms = rng.randint(10_000, 90 * MINUTE_MS)
        began_ms = ended_ms - running_ms
        nodes = rng.choice((1, 1, 2, 4, 8))
        part = Resource(
            billing_code=rng.choice(CODES), unit_num=8, node_count=nodes, cards_per_node=8, flavor_id="modelarts.p3.8xlarge"
        )
        job = Job(
            key=JobKey(region="cn-north-4", project_id="0" * 32, job_id=str(uuid.UUID(int=rng.getrandbits(128), version=4))),
            target="lab",
            read_at_ms=ended_ms,
            phase=rng.choice(PHASES),
            workspace="0",
            name=f"train-model{chr(97 + number % 26)}{rng.randrange(STEMS // 26)}x-{rng.randrange(10_000):04d}",
            user=f"user-{rng.randrange(USERS)}",
            kind="job",
            create_time_ms=began_ms - waited_ms,
            start_time_ms=began_ms,
            duration_ms=running_ms,
            resources=(part,),
        )
        cost = Decimal(f"{running_ms * nodes * 8 * 35 * 10**9 // HOUR_MS}e-10")
        yield Ended(job=job, run=1, told=Told.READ, ended_ms=ended_ms, running_ms=running_ms, cost=cost, currency="CNY")


def _written(folder: Path, count: int, rounds: int) -> Rounds:
    rng, number = random.Random(7), iter(range(10**6))

    def ours() -> float:
        return asyncio.run(_write(folder / f"ours-{next(number)}.db", list(ends(rng, count, over_ms=DAY_MS))))

    def bare() -> float:
        return _write_plainly(folder / f"bare-{next(number)}.db", list(ends(rng, count, over_ms=DAY_MS)))

    return alternating(ours, bare, rounds=rounds)


async def _write(path: Path, made: Sequence[Ended]) -> float:
    ledger = await open_ledger(f"sqlite:///{path}")
    seen = {
        end.job.key: Sighting(
            key=end.job.key, target="lab", run=1, first_seen_ms=1, last_seen_ms=end.ended_ms, phase="Running"
        )
        for end in made
    }
    await ledger.remember(list(seen.values()), facts={end.job.key: end.job for end in made})
    began = time.perf_counter()
    for at in range(0, len(made), BATCH):
        some = made[at : at + BATCH]
        await ledger.history.put(some, seen=[seen[end.job.key] for end in some])
    seconds = time.perf_counter() - began
    await ledger.aclose()
    return seconds


def _write_plainly(path: Path, made: Sequence[Ended]) -> float:
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        for statement in (PLAIN, *PLAIN_INDEXES):
            connection.execute(statement)
        began = time.perf_counter()
        for at in range(0, len(made), BATCH):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(f"INSERT INTO runs VALUES ({', '.join('?' * 19)})", map(_plain, made[at : at + BATCH]))  # noqa: S608
            connection.execute("COMMIT")
        seconds = time.perf_counter() - began
    connection.close()
    return seconds


def _plain(end: Ended) -> tuple[object, ...]:
    job = end.job
    of_job = (*(getattr(job.key, name) for name in ("region", "project_id", "job_id")), end.run, job.target, job.workspace)
    what = (job.user, job.name, job.kind, job.phase, None, job.resources[0].billing_code, 8)
    when = (job.create_time_ms, job.start_time_ms, end.ended_ms, end.running_ms)
    return (*of_job, *what, *when, str(end.cost), end.currency)


async def _seeded(path: Path, seeds: int, *, over_ms: int) -> None:
    ledger = await open_ledger(f"sqlite:///{path}")
    made = list(ends(random.Random(11), seeds, over_ms=over_ms))
    for at in range(0, seeds, 10 * BATCH):
        await ledger.history.put(made[at : at + 10 * BATCH], seen=[])
    await ledger.aclose()


def _filled(path: Path, seeds: int, rows: int) -> float:
    """
    Copy the seeds, which are a stretch of the year, over the rest of it.
    """
    began, copies = time.perf_counter(), rows // seeds
    with sqlite3.connect(path, isolation_level=None) as connection:
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "cache_size=-65536"):
            connection.execute(f"PRAGMA {pragma}")
        users = [number for (number,) in connection.execute("SELECT DISTINCT user_word FROM history ORDER BY user_word")]
        connection.execute("CREATE TEMP TABLE fellows (place INTEGER PRIMARY KEY, word INTEGER)")
        connection.executemany("INSERT INTO fellows (word) VALUES (?)", [(one,) for one in users])
        for copy in range(1, copies):
            connection.execute(COPIES, {"later": YEAR_MS * copy // copies, "users": len(users), "seeds": seeds})
        connection.execute("UPDATE words SET used_ms = ?", (BEGAN_MS + YEAR_MS,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return time.perf_counter() - began


def _bytes_per_row(path: Path, table: str) -> float:
    return path.stat().st_size / _count(path, f"SELECT count(*) FROM {table}")  # noqa: S608


def _plain_bytes_per_row(folder: Path, count: int) -> float:
    path = folder / "plain.db"
    _write_plainly(path, list(ends(random.Random(11), count, over_ms=DAY_MS)))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return _bytes_per_row(path, "runs")


def _count(path: Path, statement: str, values: Sequence[int] = ()) -> int:
    with sqlite3.connect(path) as connection:
        found = int(connection.execute(statement, values).fetchone()[0])
    connection.close()
    return found


def _command(folder: Path, ledger: Path) -> tuple[float, float]:
    """
    Return the seconds of ``guard spend`` over the month, and its peak of resident memory in MiB.
    """
    config = folder / "guard.yaml"
    target = {"name": "lab", "region": "cn-north-4", "project_id": "0" * 32}
    config.write_text(yaml.safe_dump({"targets": [target], "ledger": f"sqlite:///{ledger}"}), encoding="utf-8")
    words = ("spend", "-c", str(config), "--from", MONTH[0], "--to", MONTH[1], "--by", "user", "--output", "csv")
    seconds, told = _process(("-c", GUARD, *words))
    found = re.search(r"^VmHWM:\s+(\d+) kB", told, re.MULTILINE)
    return seconds, int(found[1]) / 1024 if found else float("nan")


def _by_hand(ledger: Path) -> float:
    script = (
        "import sqlite3, sys\n"
        f"rows = sqlite3.connect({str(ledger)!r}).execute({BY_HAND!r}, {MONTH_MS!r}).fetchall()\n"
        "sys.stdout.write(str(len(rows)))"
    )
    return _process(("-c", script))[0]


def _process(words: Sequence[str]) -> tuple[float, str]:
    """
    Run a program of Python; return its seconds and what it said on the side.
    """
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)  # noqa: S603 - our own
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{words[1][:60]!r} ended with {done.returncode}: {done.stderr[-500:]}")
    return seconds, done.stderr
