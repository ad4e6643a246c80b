"""
The listener of a running daemon: it answers as its OpenAPI document says, whatever it is asked, and delays no deadline.
"""

import json
import random
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest
import requests
import schemathesis
from e2e_stand import daemon, until
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from starlette.routing import Route

from guard.daemon.access import Access, AccessFiles
from guard.daemon.metrics import Metrics
from guard.daemon.openapi import document
from guard.daemon.web import web_app

TOKEN = "a-token-of-many-letters"
SEED, CASES = 20261127, 2000
CHECKED = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)
NAMES = (
    "Accept",
    "Range",
    "Cookie",
    "Content-Type",
    "Accept-Encoding",
    "If-None-Match",
    "X-Forwarded-Host",
    "TE",
    "Upgrade",
)
VALUES = ("application/json", "application/openmetrics-text;version=1.0.0", "*/*;q=0", "gzip", "bytes=0-", "h2c", "")
LATIN = [chr(code) for code in range(32, 256) if code != 127]


def more(drawn):
    """
    Return what no schema makes up: headers that servers trip over, any token, and parameters that nobody documented.

    By a generator of its own, because hypothesis takes longer over each letter than the listener over its answer.
    """

    def text(letters):
        return "".join(drawn.choices(letters, k=drawn.randrange(40))).strip()

    headers = {
        name: (text(LATIN) if drawn.random() < 0.5 else drawn.choice(VALUES)).encode("latin-1")
        for name in drawn.sample(NAMES, k=drawn.randrange(4))
    }
    if token := drawn.choice((TOKEN, TOKEN, TOKEN, f"{TOKEN}x", "")):
        headers["Authorization"] = f"Bearer {token}"
    letters = [*LATIN, "\x00", "\N{SNOWMAN}", "%", "&", "\r", "\n", "\N{PILE OF POO}"]
    query = {drawn.choice(("format", text(letters))): text(letters) for _ in range(drawn.randrange(3))}
    return headers, query


@pytest.mark.parametrize("secured", [True, False])
def test_the_document_names_the_routes_that_exist(tmp_path, secured):
    """
    Every route stands in the OpenAPI document and every path of it is a route; with tokens it says where they are needed.
    """
    (tmp_path / "tokens").write_text(TOKEN)
    access = Access(AccessFiles(tokens=tmp_path / "tokens" if secured else None))

    async def tell():
        raise AssertionError

    app = web_app(Metrics(version="test"), alive=list, ready=list, access=access, status=tell)
    routes = {one.path: sorted(one.methods or ()) for one in app.routes if isinstance(one, Route)}
    paths = document(secured=secured)["paths"]
    assert routes == {path: ["GET", "HEAD"] for path in paths}
    assert all(list(operations) == ["get"] for operations in paths.values())
    open_to_all = {path for path, operations in paths.items() if operations["get"]["security"] == []}
    assert open_to_all == ({"/livez", "/readyz"} if secured else set(paths))


def cases(operation):
    """
    Return what schemathesis makes up for an operation, valid or not, with what only an attacker adds.
    """
    modes = [GenerationMode.POSITIVE]
    if operation.query or operation.label == "GET /metrics":
        modes.append(GenerationMode.NEGATIVE)
    made = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])
    return st.tuples(made, st.integers(0, 1 << 64))


@pytest.mark.server
def test_two_thousand_made_up_calls(site, simulated, tmp_path):
    """
    Of 2,000 calls that schemathesis makes up, none is answered with a 5xx or otherwise than the document says.
    """
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    site.set(armed=True, listen_token_file=str(tmp_path / "tokens"))
    seen = Counter()
    with daemon(site) as running, requests.Session() as session:
        session.trust_env = False
        ask = urllib.request.Request(f"{running.url}/openapi.json", headers={"authorization": f"Bearer {TOKEN}"})  # noqa: S310
        with urllib.request.urlopen(ask) as answer:  # noqa: S310
            schema = schemathesis.openapi.from_dict(json.load(answer))
        operations = [one.ok() for one in schema.get_all_operations()]

        def judged(operation):
            @hypothesis.seed(SEED)
            @hypothesis.settings(
                max_examples=CASES // len(operations),
                deadline=None,
                database=None,
                phases=[hypothesis.Phase.generate],
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            @hypothesis.given(cases(operation))
            def one(made):
                case, number = made
                headers, query = more(random.Random(number))
                response = case.call(base_url=running.url, session=session, headers=headers, params=query)
                seen[operation.label, response.status_code] += 1
                case.validate_response(response, checks=list(CHECKED))

            one()

        for operation in operations:
            judged(operation)
        print(f"seed {SEED}: {seen.total()} calls, {dict(seen)}")  # noqa: T201
        assert seen.total() >= CASES
        assert not [code for _, code in seen if code >= 500]
        assert all(seen[one.label, 200] for one in operations)
        assert running.get("/livez") == (200, "ok\n")
        assert running.end() == 0
    assert "Traceback" not in running.log.read_text()
    assert TOKEN not in running.log.read_text()


@pytest.mark.server
def test_an_attacked_listener_keeps_no_deadline_waiting(site, simulated):
    """
    While hundreds of connections send slow, huge and endless requests, a job is ended seconds after its deadline.
    """
    site.set(armed=True, scan_interval="1h", walk_interval="1h")
    simulated.runs("nearly", hours=24 - 15 / 3600)
    with daemon(site) as running:
        command = [sys.executable, str(Path(__file__).parent / "attacker.py"), running.url.rpartition(":")[2]]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attacker:
            try:
                assert attacker.stdout.readline() == "attacking\n"
                began_ms = simulated.world.now_ms
                until(lambda: simulated.terminated() == ["nearly"], "the job is ended", within=60)
                counts, _ = attacker.communicate(timeout=30)
            finally:
                attacker.kill()
        until(lambda: running.terminations() == {"confirmed": 1}, "the end is confirmed", within=30)
        assert running.end() == 0
    (intent,) = site.intents()
    print(f"lateness {intent.lateness_ms} ms under {counts}")  # noqa: T201
    # The attack had begun before the deadline, and would have gone on for as long as it took.
    assert intent.draft.due_ms > began_ms
    assert intent.lateness_ms < 10_000
    assert "Traceback" not in running.log.read_text()
