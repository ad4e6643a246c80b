"""
Whatever a person gets wrong ends in a message that says what to do and in the documented exit code, and shows no secret.
"""

import json
import logging
import os
import re
import socket

import pytest
import structlog
from e2e_stand import ACCESS, POLICY, SECRET, Simulated, Site, no_secret
from typer.testing import CliRunner

from guard.cli.whole import app
from guard.simulator import changed

WRONG = "another-secret-of-somebody"
NO_KEYS = {"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": ""}


@pytest.fixture
def cli(tmp_path):
    """
    Run a command in this process, with no environment but the one given, and clean up what it set up for logging.
    """

    def run(*words, **environment):
        nothing = dict.fromkeys([name for name in os.environ if name.startswith(("GUARD_", "HUAWEICLOUD_", "HW_"))])
        keys = {"HUAWEICLOUD_SDK_AK": ACCESS, "HUAWEICLOUD_SDK_SK": SECRET, "HOME": str(tmp_path / "home")}
        return CliRunner().invoke(app, list(words), env={**nothing, **keys, **environment})

    yield run
    structlog.reset_defaults()
    for handler in list(logging.getLogger().handlers):
        if type(handler) is logging.StreamHandler:
            logging.getLogger().removeHandler(handler)


@pytest.fixture
def lab(tmp_path):
    """
    Settings that watch a service that is not there.
    """
    return Site(tmp_path, "http://127.0.0.1:9")


def told(result, code, *words):
    """
    Check the exit code, the words, that there is no traceback, and that no secret is shown.
    """
    said = result.stdout + result.stderr
    assert result.exit_code == code, said
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for word in words:
        assert word in said
    assert "Traceback" not in said
    no_secret(said)
    assert WRONG not in said


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
POLICIES = {
    "not-utf-8": (b"policies: [\xff\xfe]", "x.yaml:", "UTF-8"),
    "not-yaml": (b"policies: [", "x.yaml:1:", "error:"),
    "tabs": (b"policies:\n\t- name: a\n", "x.yaml:2:", "tab"),
    "anchor-bomb": (BOMB.encode(), "x.yaml:2:", "got an alias"),
    "100,000-levels": (b"policies: " + b"[" * 100_000, "x.yaml:1:", "64"),
    "too-large": (b"#" * 300_000, "x.yaml", "256 KiB"),
    "duplicate-keys": (b"policies: []\npolicies: []\n", "x.yaml:2:1", "policies"),
    "duplicate-names": (POLICY.encode() + POLICY.removeprefix("policies:\n").encode(), "x.yaml:9:", "p100-eco-one-day"),
    "unknown-key": (POLICY.replace("mode:", "mod:").encode(), "x.yaml:3:5", "mod"),
    "unknown-field": (POLICY.replace("node_count", "nodes").encode(), "x.yaml:6:7", "nodes"),
    "wrong-type": (POLICY.replace("{gt: 2}", "{gt: two}").encode(), "x.yaml:6:", "'two'"),
    "bare-number-span": (POLICY.replace("24h", "24").encode(), "x.yaml:8:", "24h"),
    "wrong-mode": (POLICY.replace("mode: enforce", "mode: kill").encode(), "x.yaml:3:", "enforce"),
    "empty-match": (b"policies: [{name: a, match: {}}]", "x.yaml:1:", "match"),
    "a-list": (b"- a\n- b\n", "x.yaml:1:1", "policies"),
}


@pytest.mark.parametrize("command", ["validate", "run"])
@pytest.mark.parametrize(("content", "place", "word"), [pytest.param(*row, id=name) for name, row in POLICIES.items()])
def test_bad_policy_files(cli, lab, command, content, place, word):
    """
    Every command that takes policies refuses a bad file with its place and what was expected, and makes no ledger.
    """
    (lab.policies / "x.yaml").write_bytes(content)
    (lab.policies / "economic.yaml").unlink()
    words = ["validate", str(lab.policies)] if command == "validate" else [command, "--config", str(lab.config)]
    told(cli(*words), 1, place, word)
    assert not lab.ledger.exists()


@pytest.mark.parametrize("command", ["validate", "run"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param("missing", ("expected a folder of policy files", "nothing at that place"), id="missing"),
        pytest.param("empty", ("expected at least one policy file", "policies: []"), id="empty"),
        pytest.param("unreadable", ("x.yaml", "the file cannot be read"), id="unreadable"),
    ],
)
def test_bad_policy_folders(cli, lab, command, spoil, words):
    """
    A folder that is missing, empty or holds a file that cannot be read is refused in words that say what is expected.
    """
    (lab.policies / "economic.yaml").unlink()
    if spoil == "missing":
        lab.policies.rmdir()
    if spoil == "unreadable":
        # What a privileged user cannot read either: a link that leads nowhere.
        (lab.policies / "x.yaml").symlink_to("nowhere")
    given = ["validate", str(lab.policies)] if command == "validate" else [command, "--config", str(lab.config)]
    told(cli(*given), 1, *words)


def test_validate_prints_every_error_of_every_file(cli, lab):
    """
    All files' errors come at once, each with its place; the good file beside them does not hide them.
    """
    (lab.policies / "a.yaml").write_text("policies: [{name: A, match: {user: a}}, {name: b, match: {usr: a, duration: 3}}]")
    (lab.policies / "b.yaml").write_text("polices: []")
    (lab.policies / "c.yaml").write_text("policies: [")
    result = cli("validate", str(lab.policies))
    told(result, 1)
    files = [line.partition(".yaml:")[0].rpartition("/")[2] for line in result.stdout.splitlines() if ": error:" in line]
    assert (files.count("a"), files.count("b"), files.count("c")) == (3, 1, 1), result.stdout


TARGET = "{name: a, region: r, project_id: p}"
SETTINGS = {
    "unknown-key": ("armd: true", ":1: armd: there is no such setting; did you mean armed?"),
    "money-without-prices": (
        "armed: true\nlimits:\n  max_cost_rate: 9",
        ":2: limits: max_cost_rate: expected the setting prices",
    ),
    "breaker-of-another-kind": ("breaker: 3", "breaker: expected a mapping such as {first_enforce: 3}, or none"),
    "unknown-number": ("breaker: {first_enforc: 1}", "did you mean first_enforce?"),
    "unknown-limit": ("limits: {windw: 1h}", "did you mean window?"),
    "wrong-type": ("armed: perhaps", "armed: expected true or false, got 'perhaps'"),
    "bare-number": ("scan_interval: 60", "scan_interval: expected a span such as 30s, 15m or 24h, got 60"),
    "too-short": ("scan_interval: 10ms", "scan_interval: "),
    "twice": ("armed: false\narmed: true", ":2: armed: stands here a second time, after line 1"),
    "no-targets": ("armed: false", "targets: this setting is required"),
    "empty-targets": ("targets: []", "targets: expected at least one entry"),
    "same-target": (f"targets: [{TARGET}, {TARGET}]", "two targets have the same name"),
    "not-yaml": ("targets: [", "not YAML"),
    "a-list": ("- armed", "expected a mapping of settings"),
    "time-zone": ("timezone: Asia/Shanhai", "did you mean Asia/Shanghai?"),
    "a-secret": (f"ak: {WRONG}\nsk: {SECRET}", "ak: there is no such setting"),
    "100,000-levels": ("targets: " + "[" * 100_000, "not YAML"),
}


@pytest.mark.parametrize("command", ["run", "pause"])
@pytest.mark.parametrize(("text", "words"), [pytest.param(*row, id=name) for name, row in SETTINGS.items()])
def test_bad_settings_files(cli, lab, command, text, words):
    """
    A settings file that cannot be taken is named with the line, the setting and what was expected.
    """
    lab.config.write_text(text)
    more = ["--reason", "x"] if command == "pause" else []
    told(cli(command, "--config", str(lab.config), *more), 1, f"{lab.config}:", words)


def test_no_settings_at_all(cli):
    """
    Who starts it with nothing is told what is missing, and how to see it work without an account.
    """
    told(cli("run"), 1, "no settings: name a YAML file", "HUAWEICLOUD_SDK_AK", "without an account: guard demo")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        pytest.param({"GUARD_ARMED": "maybe"}, "GUARD_ARMED: expected true or false, got 'maybe'", id="flag"),
        pytest.param({"GUARD_TARGETS": "[{"}, "GUARD_TARGETS: expected JSON", id="json"),
        pytest.param({"GUARD_SCAN_INTERVAL": "60"}, "GUARD_SCAN_INTERVAL: expected a span", id="span"),
        pytest.param({"GUARD_LIMITS__WINDOW": "60"}, "GUARD_LIMITS__WINDOW: expected a span", id="nested"),
        pytest.param({"GUARD_LIMITS": '{"windw": 1}'}, "GUARD_LIMITS: limits.windw: there is no such", id="inside"),
        pytest.param({"GUARD_SCAN_INTERVAL": "99999999d"}, "GUARD_SCAN_INTERVAL: expected at least 1s and", id="for-ever"),
        pytest.param({"HTTPS_PROXY": f"foo://guard:{WRONG}@h"}, "HTTPS_PROXY: expected a proxy such as", id="proxy"),
        pytest.param({"HTTPS_PROXY": f"http://guard:{WRONG}@h:99999"}, "HTTPS_PROXY: expected a proxy", id="proxy-port"),
        pytest.param({"HTTPS_PROXY": "socks5://h:1080"}, "HTTPS_PROXY: expected a proxy", id="proxy-of-socks"),
        pytest.param({"SSL_CERT_FILE": "/nowhere.pem"}, "SSL_CERT_FILE: '/nowhere.pem' is no file of PEM", id="no-bundle"),
        pytest.param({"SSL_CERT_FILE": __file__}, "is no file of PEM certificates", id="bundle"),
        pytest.param({"GUARD_LISTEN": "here"}, "listen: expected host:port", id="listen"),
        pytest.param({"GUARD_LISTEN_KEY": "/nowhere.key"}, "listen_certificate and listen_key: expected both", id="half"),
        pytest.param({"GUARD_LISTEN_TOKEN_FILE": "/nowhere"}, "listen_token_file: /nowhere: cannot be read", id="token"),
        pytest.param({"GUARD_CONFIG": "/nowhere.yaml"}, "/nowhere.yaml: the settings file cannot be read", id="config"),
        pytest.param(
            {"GUARD_PRICES": "/nowhere.yaml"}, "/nowhere.yaml: error: the file cannot be read: No such", id="prices"
        ),
    ],
)
def test_bad_environment(cli, lab, environment, words):
    """
    A bad override is blamed on the variable that holds it, not on the file below it.
    """
    del lab.values["limits"]
    lab.set()
    told(cli("run", **{"GUARD_CONFIG": str(lab.config), **environment}), 1, words)


PRICES = {
    "no-currency": ("prices: {a: 1}", ":1:1: error: the required key 'currency' is missing"),
    "negative": (
        "currency: CNY\nprices: {a: -1}",
        ":2:13: error: a: expected a price from 0 to 10^15 such as 3.5, got the number -1",
    ),
    "endless": ("currency: CNY\nprices: {a: .inf}", ":2:13: error: a: expected a price"),
    "text": ("currency: CNY\nprices: {a: dear}", "got the text 'dear'"),
    "twice": ("currency: CNY\nprices:\n  a: 1\n  a: 2", ":4:3: error: the key 'a' stands twice, first in line 3"),
    "unknown-key": ("currency: CNY\nprize: {}", ":2:1: error: unknown key 'prize' (did you mean prices?)"),
    "not-yaml": ("currency: [", ":1:12: error: not valid YAML"),
}


@pytest.mark.parametrize(("text", "words"), [pytest.param(*row, id=name) for name, row in PRICES.items()])
def test_bad_price_books(cli, lab, text, words):
    """
    A price book that cannot be taken stops the start, with file, line, column and what was expected.
    """
    book = lab.folder / "prices.yaml"
    book.write_text(text)
    told(cli("scan", "--config", str(lab.config), GUARD_PRICES=str(book)), 1, str(book), words)


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        pytest.param("sqlite:////nowhere/guard.db", 4, "there is no folder /nowhere; make it", id="no-folder"),
        pytest.param(f"mysql://guard:{WRONG}@host/guard", 4, "a ledger is kept in SQLite", id="another-database"),
        pytest.param("guard.db", 4, "sqlite:///", id="no-url"),
    ],
)
@pytest.mark.parametrize("command", ["run", "scan"])
def test_bad_ledgers(cli, lab, command, url, code, words):
    """
    A ledger that cannot be used is named, its password hidden, before anything is asked of the service.
    """
    told(cli(command, "--config", str(lab.config), GUARD_LEDGER=url), code, words)


@pytest.mark.parametrize("words", [["pause", "--reason", "stocktaking"], ["resume"]], ids=["pause", "resume"])
def test_a_pause_of_a_ledger_that_is_not_there(cli, lab, words):
    """
    A kill switch that no daemon looks at is refused, and no ledger is made for it.
    """
    told(cli(*words, "--config", str(lab.config)), 4, f"there is no ledger {lab.ledger}")
    assert not lab.ledger.exists()


def test_a_ledger_that_is_something_else(cli, lab):
    """
    A file that is no ledger is refused and left as it is.
    """
    lab.ledger.write_bytes(b"my only copy of a thesis")
    told(cli("scan", "--config", str(lab.config)), 4, str(lab.ledger))
    assert lab.ledger.read_bytes() == b"my only copy of a thesis"


@pytest.mark.parametrize(
    ("settings", "environment", "words"),
    [
        pytest.param(
            {"region": "cn-north-44", "endpoint": None},
            {},
            "target 'lab': unknown region 'cn-north-44'; did you mean cn-north-4",
            id="region",
        ),
        pytest.param({"endpoint": "ftp://x"}, {}, "target 'lab': an endpoint is https://", id="endpoint"),
        pytest.param({"endpoint": "https://x:99999"}, {}, "target 'lab': an endpoint is https://", id="port"),
        pytest.param({"credentials": "prod"}, NO_KEYS, "credentials", id="section"),
        pytest.param({}, {"HUAWEICLOUD_SDK_SK": ""}, "HUAWEICLOUD_SDK_SK is missing", id="half-a-key"),
    ],
)
@pytest.mark.parametrize("command", ["scan", "run", "check"])
def test_bad_targets(cli, lab, command, settings, environment, words):
    """
    An unknown region, a strange endpoint and missing credentials are bad input, and the message says what to set.
    """
    lab.set(targets=[{**lab.target, **settings}])
    told(cli(command, "--config", str(lab.config), **environment), 1, words)


@pytest.mark.parametrize("command", ["scan", "check"])
def test_an_unreachable_endpoint(cli, lab, command):
    """
    A service that nobody answers for is exit code 3, and its host is named.
    """
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        lab.set(targets=[{**lab.target, "endpoint": endpoint}])
        told(cli(command, "--config", str(lab.config)), 3, "lab", "no answer from 127.0.0.1")


TROUBLES = {
    "wrong-secret": ({}, {}, {"HUAWEICLOUD_SDK_SK": WRONG}, 3, "401"),
    "unknown-key": ({}, {}, {"HUAWEICLOUD_SDK_AK": "NOBODYSKEY", "HUAWEICLOUD_SDK_SK": WRONG}, 3, "401"),
    "project-of-another-region": ({}, {"project_id": "f" * 32}, {}, 3, "Invalid project id"),
    "html": ({"faults": [{"operation": "*", "kind": "html", "status": 403}]}, {}, {}, 3, "HTML"),
}


@pytest.mark.server
@pytest.mark.parametrize("command", ["scan", "check"])
@pytest.mark.parametrize(
    ("knobs", "target", "environment", "code", "words"), [pytest.param(*row, id=name) for name, row in TROUBLES.items()]
)
def test_a_service_that_refuses(cli, tmp_path, command, knobs, target, environment, code, words):
    """
    What the service refuses is told in its own words, the exit code is 3, and the ledger holds no secret.
    """
    with Simulated() as simulated:
        simulated.world.knobs = changed(simulated.world.knobs, knobs)
        site = Site(tmp_path, simulated.url, armed=True)
        site.set(targets=[{**site.target, **target}])
        simulated.stage("forgotten")
        told(cli(command, "--config", str(site.config), **environment), code, "lab", words)
        assert simulated.asked_to_end() == []
    if site.ledger.exists():
        no_secret(site.ledger.read_bytes())
        assert WRONG.encode() not in site.ledger.read_bytes()


@pytest.mark.server
def test_a_clock_that_is_twenty_minutes_off(cli, tmp_path):
    """
    Nothing is terminated while the clocks differ; scan and check say by how much, and which one to set right.
    """
    with Simulated(clock_offset_seconds=1200) as simulated:
        site = Site(tmp_path, simulated.url, armed=True)
        simulated.stage("forgotten")
        result = cli("scan", "--output", "json", "--config", str(site.config))
        told(result, 0)
        assert re.search(r"this machine's clock differs from the service's by (1199|1200) s; set it right", result.stdout)
        assert json.loads(result.stdout)["rows"][0]["action"] == "held back: clock"
        told(cli("check", "--config", str(site.config)), 0, "clock differs from the service's by 1")
        assert simulated.asked_to_end() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["nonsense"], "No such command", id="command"),
        pytest.param(["scan", "--nonsense"], "No such option", id="option"),
        pytest.param(["demo", "--seconds", "1"], "--seconds", id="range"),
        pytest.param(["scan", "--output", "xml"], "xml", id="choice"),
        pytest.param(["explain"], "give either a job or --policy NAME", id="argument"),
        pytest.param(["pause"], "--reason", id="required"),
    ],
)
def test_wrong_usage(cli, words, said):
    """
    Wrong words on the command line are exit code 2.
    """
    told(cli(*words), 2, said)
