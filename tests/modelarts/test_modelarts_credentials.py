"""
Where credentials come from, when they are renewed, and that they show nowhere.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from calling import ENDPOINT, NOW, NOW_MS, WORLD_KEYS, Bench, HandClock, answer, ask, in_turn, walked

from guard.errors import BadInput, NeedsPerson, NoAnswer, Refused, Retryable
from guard.modelarts import Credentials, Exchange, Place, find_credentials, http_client
from guard.modelarts.credentials import AccessKey, Credential, IamToken, from_environment, from_file
from guard.modelarts.iam import IamTokens, IamUser, user_from_environment
from guard.modelarts.metadata import EcsMetadata, instant
from guard.modelarts.signing import KeyPair
from guard.simulator import DEFAULT_PROJECT, FLAVORS, CallLog, Knobs, LoopbackTransport, SimJob, World, create_app

SECRETS = ("SKexampleSecret", "STEXAMPLETOKEN", "hunter2-and-more")
ENV = {"HUAWEICLOUD_SDK_AK": "AKEXAMPLE", "HUAWEICLOUD_SDK_SK": "SKexampleSecret"}
USER = {"HW_USER_NAME": "bob", "HW_USER_PASSWORD": "hunter2-and-more", "HW_DOMAIN_NAME": "acme"}
FILE = "[basic]\nak = AKFILE\nsk = SK%file\n[other]\nak = AKOTHER\nsk = SKother\nsecurity_token = STOTHER\n"


def key(access: str = "AKEXAMPLE", *, expires_at: float | None = None) -> AccessKey:
    return AccessKey(keys=KeyPair(access=access, secret="SKexampleSecret", security_token=None), expires_at=expires_at)


class Source:
    """
    Gives these credentials in turn, each after yielding to other tasks, and counts; an exception among them is raised.
    """

    def __init__(self, *given: Credential | Exception) -> None:
        self._given = given
        self.fetched = 0

    async def fetch(self) -> Credential:
        self.fetched += 1
        await asyncio.sleep(0)
        given = self._given[min(self.fetched, len(self._given)) - 1]
        if isinstance(given, Exception):
            raise given
        return given


def holding(source: Source, clock: HandClock, *, early_s: float = 600.0) -> Credentials:
    return Credentials(source.fetch, clock.now, identity="test", early_s=early_s)


def test_lasting_credentials_are_fetched_once():
    """
    Credentials without an end are fetched at the first need only.
    """
    source, clock = Source(key()), HandClock()
    credentials = holding(source, clock)
    assert credentials.expires_at is None

    async def run() -> None:
        await credentials.current()
        clock.seconds += 10 * 365 * 86_400
        await credentials.current()

    asyncio.run(run())
    assert source.fetched == 1


@pytest.mark.parametrize(
    ("left_s", "fetched"),
    [pytest.param(600.1, 1, id="long"), pytest.param(600.0, 2, id="on-the-edge"), pytest.param(-1.0, 2, id="expired")],
)
def test_renewal_before_expiry(left_s, fetched):
    """
    New credentials are fetched as soon as the old ones have no more than the early span left.
    """
    clock = HandClock()
    source = Source(key(expires_at=NOW + 3600), key("AKNEW", expires_at=NOW + 7200))

    async def run() -> None:
        credentials = holding(source, clock)
        await credentials.current()
        clock.seconds = NOW + 3600 - left_s
        current = await credentials.current()
        assert isinstance(current, AccessKey)
        assert (current.keys.access == "AKNEW") == (fetched == 2)
        assert credentials.expires_at == current.expires_at

    asyncio.run(run())
    assert source.fetched == fetched


def test_credentials_about_to_expire_serve_on():
    """
    While a renewal fails, credentials that are still valid serve on and are tried again each minute; expired ones do not.
    """
    clock = HandClock()
    source = Source(key(expires_at=NOW + 300), NoAnswer("gone"))

    async def run() -> None:
        credentials = holding(source, clock)
        first = await credentials.current()
        assert await credentials.current() is first
        assert source.fetched == 1
        clock.seconds += 60
        assert await credentials.current() is first
        assert await credentials.current() is first
        assert source.fetched == 2
        clock.seconds = NOW + 300
        with pytest.raises(NoAnswer):
            await credentials.current()

    asyncio.run(run())


def test_one_renewal_at_a_time():
    """
    Tasks that renew at once share one fetch, and one whose credentials were replaced already takes the new ones.
    """
    source = Source(key("AK1"), key("AK2"), key("AK3"))

    async def run() -> None:
        credentials = holding(source, HandClock())
        old = await credentials.current()
        renewed = await asyncio.gather(*(credentials.renew(refused=old) for _ in range(20)))
        assert source.fetched == 2
        assert set(map(id, renewed)) == {id(await credentials.renew(refused=old))}
        await asyncio.gather(credentials.renew(), credentials.renew())
        assert source.fetched == 3

    asyncio.run(run())


def test_the_tag():
    """
    The tag follows the lasting key, not the hourly ones, and holds nothing of either.
    """

    async def tag_of(credential: Credential, identity: str = "test") -> str:
        credentials = Credentials(Source(credential).fetch, HandClock().now, identity=identity)
        await credentials.current()
        return credentials.tag()

    async def run() -> None:
        assert await tag_of(key("A")) != await tag_of(key("B"))
        assert await tag_of(key("A", expires_at=NOW)) == await tag_of(key("B", expires_at=NOW + 1))
        assert await tag_of(IamToken(token="x")) == await tag_of(IamToken(token="y"))
        assert await tag_of(IamToken(token="x"), "iam/a") != await tag_of(IamToken(token="x"), "iam/b")
        assert "AKEXAMPLE" not in await tag_of(key())

    asyncio.run(run())


def test_nothing_shows_in_a_repr():
    """
    Credentials, users and what holds them can be printed without showing a secret.
    """
    pair = KeyPair(access="AKEXAMPLE", secret=SECRETS[0], security_token=SECRETS[1])
    values: list[Any] = [pair, AccessKey(keys=pair), IamToken(token=SECRETS[1]), user_from_environment(USER)]
    for value in values:
        for text in (repr(value), str(value), f"{value}"):
            assert not any(secret in text for secret in (*SECRETS, "AKEXAMPLE"))


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param(ENV, ("AKEXAMPLE", "SKexampleSecret", None), id="key"),
        pytest.param({**ENV, "HUAWEICLOUD_SDK_SECURITY_TOKEN": "ST\n"}, ("AKEXAMPLE", "SKexampleSecret", "ST"), id="token"),
        pytest.param({"HUAWEICLOUD_SDK_AK": " ", "HUAWEICLOUD_SDK_SK": ""}, None, id="blank"),
    ],
)
def test_the_environment(environment, found):
    """
    The SDK's names are read from the mapping, without the line end that a mounted secret brings.
    """
    read = from_environment(environment)
    assert (None if read is None else (read.keys.access, read.keys.secret, read.keys.security_token)) == found


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        pytest.param({"HUAWEICLOUD_SDK_AK": "a"}, "HUAWEICLOUD_SDK_SK is missing", id="no-sk"),
        pytest.param({"HUAWEICLOUD_SDK_SK": "SKexampleSecret"}, "HUAWEICLOUD_SDK_AK is missing", id="no-ak"),
        pytest.param({**ENV, "HUAWEICLOUD_SDK_SK": "SKexample\nSecret"}, "HUAWEICLOUD_SDK_SK", id="two-lines"),
        pytest.param({**ENV, "HUAWEICLOUD_SDK_AK": "ключ"}, "HUAWEICLOUD_SDK_AK", id="not-ascii"),
    ],
)
def test_half_or_broken_keys(environment, words):
    """
    A key that cannot work is named by its variable, without its value.
    """
    with pytest.raises(BadInput, match=words) as raised:
        from_environment(environment)
    assert "SKexample" not in str(raised.value)


def test_the_credentials_file(tmp_path):
    """
    A section of the SDK's file gives a key, with a per cent sign taken as it stands.
    """
    path = tmp_path / "credentials"
    path.write_text(FILE)
    assert from_file(path, "basic").keys == KeyPair(access="AKFILE", secret="SK%file")
    assert from_file(path, "other").keys.security_token == "STOTHER"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[global]\nak=x\nsk=y\n", "no section 'basic'; it has: global", id="other-section"),
        pytest.param("sk = SKexampleSecret\n", "no INI file", id="no-header"),
        pytest.param("[basic]\nSKexampleSecret\n", "no INI file", id="no-key"),
        pytest.param("[basic]\nak = x\n", "sk is missing", id="half"),
        pytest.param("[basic]\n", "holds no ak and sk", id="empty"),
        pytest.param("", "it has: none", id="nothing"),
        pytest.param("[basic]\nsk=\udcff", "cannot read", id="no-text"),
        pytest.param(None, "FileNotFoundError", id="no-file"),
    ],
)
def test_broken_credentials_files(tmp_path, text, words):
    """
    What is wrong with a file is said without quoting a line of it.
    """
    path = tmp_path / "credentials"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput, match=words) as raised:
        from_file(path, "basic")
    assert "SKexample" not in str(raised.value)


def test_an_iam_user_in_the_environment():
    """
    User, password and account are taken together, and the account alone is no user.
    """
    assert user_from_environment(USER) == IamUser(user="bob", password="hunter2-and-more", domain="acme")
    assert user_from_environment({"HW_DOMAIN_NAME": "acme"}) is None
    with pytest.raises(BadInput, match="HW_DOMAIN_NAME") as raised:
        user_from_environment({name: value for name, value in USER.items() if name != "HW_DOMAIN_NAME"})
    assert "hunter2" not in str(raised.value)
    with pytest.raises(BadInput, match=r"^HW_USER_PASSWORD in the environment must be UTF-8$"):
        user_from_environment({**USER, "HW_USER_PASSWORD": "hunter2\udcff"})


def exchange_over(behind: Any, clock: HandClock | None = None) -> Exchange:
    transport = behind if isinstance(behind, httpx.AsyncBaseTransport) else httpx.MockTransport(behind)
    return Exchange(http_client(transport=transport), clock or HandClock())


def metadata_world(**knobs: Any) -> LoopbackTransport:
    return LoopbackTransport(create_app(World(Knobs(**knobs), HandClock().now), CallLog()))


@pytest.mark.parametrize("tokens", [True, False], ids=["token-mode", "plain"])
def test_ecs_metadata(tokens):
    """
    Keys come from the metadata service, with its token where it knows tokens.
    """
    transport = metadata_world(metadata_token=tokens, access_keys=WORLD_KEYS, security_token="STEXAMPLETOKEN")
    fetched = asyncio.run(EcsMetadata(exchange_over(transport)).fetch())
    assert fetched.keys == KeyPair(access="AKEXAMPLE", secret="SKexampleSecret", security_token="STEXAMPLETOKEN")
    assert fetched.expires_at == NOW + 3600


def test_ecs_without_an_agency():
    """
    A server without an agency is told to a person in words.
    """
    with pytest.raises(NeedsPerson, match="cloud service agency"):
        asyncio.run(EcsMetadata(exchange_over(metadata_world())).fetch())


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        pytest.param([httpx.Response(503), httpx.Response(500, content=b"x")], Retryable, id="fault"),
        pytest.param([httpx.Response(404), answer({"credential": {"access": "a"}})], Retryable, id="half-a-key"),
        pytest.param([httpx.Response(405), httpx.Response(200, content=b"<html>")], Retryable, id="html"),
        pytest.param([httpx.Response(200, content="ключ".encode())], Refused, id="token-no-header"),
        pytest.param([httpx.Response(429)], Retryable, id="throttled"),
        pytest.param([httpx.ConnectTimeout("no")], NoAnswer, id="no-ecs"),
    ],
)
def test_broken_ecs_metadata(given, kind):
    """
    A metadata service that answers otherwise gives an error of the tree, never a broken key.
    """
    handle, _ = in_turn(*given)
    with pytest.raises(kind):
        asyncio.run(EcsMetadata(exchange_over(handle)).fetch())


def tokens_over(behind: Any) -> IamTokens:
    user = IamUser(user="bob", password="hunter2-and-more", domain="acme")
    return IamTokens(exchange_over(behind), user, endpoint="https://iam.test", project_id=DEFAULT_PROJECT)


def test_an_iam_token():
    """
    A user's password gives a token for the project, without the long catalogue.
    """
    body = {"token": {"expires_at": "2025-11-25T16:00:00.000000Z"}}
    handle, requests = in_turn(answer(body, 201, x_subject_token="TOKEN"))
    token = asyncio.run(tokens_over(handle).fetch())
    assert (token.token, token.expires_at) == ("TOKEN", NOW + 86_400)
    assert str(requests[0].url) == "https://iam.test/v3/auth/tokens?nocatalog=true"
    assert json.loads(requests[0].content) == {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "bob", "password": "hunter2-and-more", "domain": {"name": "acme"}}},
            },
            "scope": {"project": {"id": DEFAULT_PROJECT}},
        }
    }


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        pytest.param(answer({"error": {"code": 401, "message": "bad hunter2-and-more"}}, 401), NeedsPerson, id="wrong"),
        pytest.param(answer({"error_code": "IAM.0001", "error_msg": "x"}, 400), NeedsPerson, id="bad-request"),
        pytest.param(answer({}, 403), NeedsPerson, id="forbidden"),
        pytest.param(answer({}, 503), Retryable, id="fault"),
        pytest.param(answer({}, 201), Retryable, id="no-token"),
        pytest.param(httpx.ReadError("hunter2-and-more"), NoAnswer, id="no-answer"),
    ],
)
def test_iam_refusals(given, kind):
    """
    A refused user needs a person, a fault does not, and the password appears in neither.
    """
    handle, _ = in_turn(given)
    with pytest.raises(kind) as raised:
        asyncio.run(tokens_over(handle).fetch())
    assert "hunter2" not in str(raised.value)


def test_a_token_without_a_readable_end():
    """
    A token whose end cannot be read is used until it is refused.
    """
    handle, _ = in_turn(httpx.Response(201, headers={"x-subject-token": "T"}, content=b"<html>"))
    assert asyncio.run(tokens_over(handle).fetch()).expires_at is None
    assert [instant(value) for value in (None, "soon", "2025-11-24T16:00:00")] == [None, None, NOW]


def found(environment: dict[str, str], behind: Any, section: str | None = None) -> Any:
    async def run() -> Any:
        place = Place(environment=environment, region="cn-north-4", project_id=DEFAULT_PROJECT, section=section)
        exchange = exchange_over(behind)
        return await (await find_credentials(place, exchange, link_local=exchange)).current()

    return asyncio.run(run())


def home_with(tmp_path: Path, text: str) -> dict[str, str]:
    folder = tmp_path / ".huaweicloud"
    folder.mkdir()
    (folder / "credentials").write_text(text)
    return {"HOME": str(tmp_path)}


def test_the_order_of_the_sources(tmp_path):
    """
    The environment's key comes before an IAM user, the file and the metadata; a named section comes alone.
    """
    home = home_with(tmp_path, FILE)
    iam, _ = in_turn(answer({}, 201, x_subject_token="TOKEN"))
    metadata = metadata_world(access_keys={"AKECS": "SKecs"})
    assert found({**home, **ENV, **USER}, iam).keys.access == "AKEXAMPLE"
    assert found({**home, **USER}, iam).token == "TOKEN"
    assert found(home, iam).keys.access == "AKFILE"
    assert found({}, metadata).keys.access == "AKECS"
    assert found({**home, **ENV}, iam, section="other").keys.access == "AKOTHER"
    named = tmp_path / "elsewhere"
    named.write_text("[basic]\nak=AKNAMED\nsk=x\n")
    assert found({**home, "HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(named)}, iam).keys.access == "AKNAMED"


def test_no_credentials_at_all():
    """
    With nothing to be found, a person is told what to do, and an agency that is missing is named.
    """
    silent, _ = in_turn(httpx.ConnectTimeout("no"))
    with pytest.raises(BadInput, match="set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"):
        found({}, silent)
    with pytest.raises(BadInput, match="cloud service agency"):
        found({}, metadata_world())
    with pytest.raises(BadInput, match="section 'team'"):
        found({"HOME": "/nonexistent"}, silent, section="team")


def test_signed_walks_and_renewed_tokens_against_the_simulator():
    """
    The simulator, which checks signatures and tokens on its own, lets both kinds of credentials in, and a token that runs
    out is renewed.
    """
    clock = HandClock()
    knobs = Knobs(
        verify_signatures=True,
        access_keys=WORLD_KEYS,
        iam_users={"bob": "hunter2-and-more"},
        token_seconds=7200.0,
    )
    world = World(knobs, clock.now)
    world.add(SimJob(id="a", create_time_ms=NOW_MS - 1000, flavor=FLAVORS["modelarts.vm.cpu.2u"]))
    assert walked(Bench(world, clock=clock))[0].jobs == 1
    user = IamUser(user="bob", password="hunter2-and-more", domain="acme")
    over = exchange_over(LoopbackTransport(create_app(world, CallLog())), clock)
    tokens = IamTokens(over, user, endpoint=ENDPOINT, project_id=DEFAULT_PROJECT)
    credentials = Credentials(tokens.fetch, clock.now, identity="iam", early_s=600.0)
    bench = Bench(world, clock=clock, credentials=credentials)

    async def act(bench: Bench) -> None:
        assert (await bench.client.read("a")).key.job_id == "a"
        assert bench.client.credentials_expire_at() == NOW + 7200
        clock.seconds += 7000
        assert (await bench.client.read("a")).key.job_id == "a"
        assert bench.client.credentials_expire_at() == NOW + 14_200

    ask(bench, act)
