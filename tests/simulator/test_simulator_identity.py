"""
Who may call: signatures against known vectors, tokens, and where credentials come from.
"""

from datetime import UTC, datetime

import pytest
from simulated import NOW, SEARCHES, V2, HandClock, asking, world_of

from guard.simulator import DEFAULT_PROJECT, FLAVORS

# Made with the vendor's SDK 3.1.219 from these made-up keys.
ACCESS, SECRET = "AKEXAMPLE00000000001", "SKexample0000000000000000000000000000001"
HOST = "modelarts.cn-north-4.myhuaweicloud.com"
SIGNED_AT = datetime(2025, 11, 23, 10, 30, tzinfo=UTC).timestamp()
JOB = f"{V2}/training-jobs/cf63aba9-63b1-4219-b717-708a2665100b"
TERMINATE = b'{"action_type": "terminate"}'
SEARCH = (
    b'{"offset": 0, "limit": 50, "sort_by": "create_time", "order": "desc", "filters": '
    b'[{"key": "phase", "operator": "in", "value": ["Creating", "Pending", "Running"]}]}'
)
UTF8, PLAIN = "application/json;charset=UTF-8", "application/json"
VECTORS = [
    pytest.param(
        "POST", f"{JOB}/actions", TERMINATE, UTF8, "1918590d213f7c7ba918320733b6f0e68253a018eabf56df3a04537e843da9b1", id="A"
    ),
    pytest.param("GET", JOB, b"", PLAIN, "04358ba3315dab3a2d74cf84618b7cce979e4e25189f24bd0273d677fa699b3e", id="C"),
    pytest.param("POST", SEARCHES, SEARCH, UTF8, "4fbcffdbcf867f62eaae0218d40f77e07677af5418a459c0e1c9a52644a8c541", id="D"),
    pytest.param(
        "GET",
        f"{V2}/training-job-flavors?flavor_type=GPU",
        b"",
        PLAIN,
        "36ff6ec6e30b91076e3e3330a91e06c71fed3e6bbf62a66cede3118fa85a3d1a",
        id="E",
    ),
]


def signed(signature, content_type, **more):
    """
    The headers of a signed call.
    """
    names = "content-type;host;x-project-id;x-sdk-date" + (";x-security-token" if "X-Security-Token" in more else "")
    return {
        "Host": HOST,
        "Content-Type": content_type,
        "X-Project-Id": DEFAULT_PROJECT,
        "X-Sdk-Date": "20251123T103000Z",
        "Authorization": f"SDK-HMAC-SHA256 Access={ACCESS}, SignedHeaders={names}, Signature={signature}",
        **more,
    }


def ask(method, url, body, headers, *, at=SIGNED_AT, **knobs):
    """
    The code of the answer to one call to a service that checks signatures, "" if there was no error.
    """
    clock = HandClock()
    clock.seconds = at
    world = world_of(clock=clock, **{"verify_signatures": True, "access_keys": {ACCESS: SECRET}, **knobs})
    response = asking(world, lambda client: client.request(method, url, content=body, headers=headers))
    return response.json().get("error_code", "")


@pytest.mark.parametrize(("method", "url", "body", "content_type", "signature"), VECTORS)
def test_signature_vectors(method, url, body, content_type, signature):
    """
    Known signatures pass (to a job that does not exist), and with one byte more in the body they do not.
    """
    headers = signed(signature, content_type)
    assert ask(method, url, body, headers) in ("", "ModelArts.2775")
    assert ask(method, url, body + b" ", headers) == "APIGW.0301"


B = "ab669bd5772df7956ad96051799c3179b5dd1c21d517ffb9648c48b3f0b501e9"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        pytest.param("STEXAMPLETOKEN", "ModelArts.2775", id="right"),
        pytest.param("ANOTHERTOKEN", "APIGW.0301", id="wrong"),
    ],
)
def test_security_token(token, code):
    """
    Temporary credentials need their security token, signed (vector B).
    """
    headers = signed(B, UTF8, **{"X-Security-Token": "STEXAMPLETOKEN"})
    assert ask("POST", f"{JOB}/actions", TERMINATE, headers, security_token=token) == code


A = "1918590d213f7c7ba918320733b6f0e68253a018eabf56df3a04537e843da9b1"


@pytest.mark.parametrize(
    ("change", "knobs", "code"),
    [
        pytest.param({}, {"at": SIGNED_AT + 900}, "ModelArts.2775", id="skew-at-the-limit"),
        pytest.param({}, {"at": SIGNED_AT + 901}, "APIGW.0301", id="skew-above"),
        pytest.param({}, {"at": SIGNED_AT - 901}, "APIGW.0301", id="skew-below"),
        pytest.param({}, {"clock_offset_seconds": 901}, "APIGW.0301", id="service-clock-wrong"),
        pytest.param({}, {"access_keys": {ACCESS: "another"}}, "APIGW.0301", id="wrong-secret"),
        pytest.param({}, {"access_keys": {}}, "APIGW.0301", id="unknown-key"),
        pytest.param({}, {"security_token": "needed"}, "APIGW.0301", id="security-token-missing"),
        pytest.param({"Authorization": "Bearer x"}, {}, "APIGW.0301", id="another-scheme"),
        pytest.param({"X-Sdk-Date": "yesterday"}, {}, "APIGW.0301", id="no-date"),
        pytest.param({"X-Auth-Token": "never-issued"}, {}, "APIGW.0301", id="unknown-token"),
        pytest.param({"Authorization": "Bearer x"}, {"verify_signatures": False}, "ModelArts.2775", id="not-checked"),
    ],
)
def test_refused_signatures(change, knobs, code):
    """
    What the gateway does not accept is 401 with APIGW.0301, when it checks at all.
    """
    headers = {**signed(A, UTF8), **change}
    assert ask("POST", f"{JOB}/actions", TERMINATE, headers, **knobs) == code


def test_signed_headers_must_be_there():
    """
    A signature over a header that is not sent, or not over the date, is refused.
    """
    for names in ("host;x-sdk-date;x-absent", "host"):
        authorization = f"SDK-HMAC-SHA256 Access={ACCESS}, SignedHeaders={names}, Signature={A}"
        headers = {**signed(A, UTF8), "Authorization": authorization}
        assert ask("POST", f"{JOB}/actions", TERMINATE, headers) == "APIGW.0301"


def login(phrase="open", methods=("password",)):
    """
    The body of a token's request.
    """
    user = {"name": "ops", "password": phrase, "domain": {"name": "acme"}}
    identity = {"methods": list(methods), "password": {"user": user}}
    return {"auth": {"identity": identity, "scope": {"project": {"name": "cn-north-4"}}}}


def test_tokens_open_the_service_until_they_expire():
    """
    A user's token passes until its time is over, then the answer is 401 with ModelArts.0202.
    """
    clock = HandClock()
    world = world_of(clock=clock, verify_signatures=True, iam_users={"ops": "open"}, token_seconds=60)

    async def talk(client):
        issued = await client.post("/v3/auth/tokens", params={"nocatalog": "true"}, json=login())
        headers = {"X-Auth-Token": issued.headers["x-subject-token"]}
        passed = await client.post(SEARCHES, json={}, headers=headers)
        clock.seconds = NOW + 60
        return issued, passed, await client.post(SEARCHES, json={}, headers=headers)

    issued, passed, expired = asking(world, talk)
    assert issued.status_code == 201
    assert issued.json()["token"]["expires_at"] == "2025-11-24T16:01:00.000000Z"
    assert issued.json()["token"]["project"] == {"id": DEFAULT_PROJECT, "name": "cn-north-4"}
    assert passed.status_code == 200
    assert (expired.status_code, expired.json()["error_code"]) == (401, "ModelArts.0202")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(login("wrong"), 401, id="wrong-password"),
        pytest.param(login(methods=["hw_ak_sk"]), 401, id="another-method"),
        pytest.param({"auth": {}}, 400, id="no-identity"),
        pytest.param([], 400, id="no-object"),
    ],
)
def test_refused_tokens(body, status):
    """
    IAM refuses with its own error body.
    """
    world = world_of(iam_users={"ops": "open"})
    response = asking(world, lambda client: client.post("/v3/auth/tokens", json=body))
    assert response.status_code == status
    assert response.json()["error"]["code"] == status


KEY, TOKEN = "/openstack/latest/securitykey", "/meta-data/latest/api/token"


def test_metadata_without_tokens():
    """
    Where tokens are not supported the PUT is 404 and the plain GET gives credentials for an hour.
    """
    world = world_of(access_keys={ACCESS: SECRET}, security_token="ST")

    async def talk(client):
        return await client.put(TOKEN, headers={"X-Metadata-Token-Ttl-Seconds": "60"}), await client.get(KEY)

    put, get = asking(world, talk)
    assert put.status_code == 404
    assert get.json()["credential"] == {
        "access": ACCESS,
        "secret": SECRET,
        "securitytoken": "ST",
        "expires_at": "2025-11-24T17:00:00.000000Z",
    }


def test_metadata_with_tokens():
    """
    Where tokens are enforced the GET needs the one that the PUT gave, and the PUT needs a time to live.
    """
    world = world_of(access_keys={ACCESS: SECRET}, metadata_token=True)

    async def talk(client):
        refused = [await client.get(KEY), await client.put(TOKEN)]
        token = await client.put(TOKEN, headers={"X-Metadata-Token-Ttl-Seconds": "21600"})
        return [*refused, token, await client.get(KEY, headers={"X-Metadata-Token": token.text})]

    assert [each.status_code for each in asking(world, talk)] == [401, 400, 200, 200]


def test_metadata_without_an_agency_or_through_a_proxy():
    """
    Without credentials the text says so, and forwarded requests are refused.
    """
    answer = asking(world_of(), lambda client: client.get(KEY))
    assert (answer.status_code, answer.text) == (401, "Please configure Cloud Service Agency first")
    forwarded = asking(world_of(), lambda client: client.get(KEY, headers={"X-Forwarded-For": "10.0.0.1"}))
    assert forwarded.status_code == 403


@pytest.mark.parametrize(("kind", "types"), [("GPU", {"GPU"}), ("", {"CPU", "GPU", "Ascend"})])
def test_flavors(kind, types):
    """
    The flavor table has a billing code in each row, for one type or all.
    """
    url = f"{V2}/training-job-flavors"
    table = asking(world_of(), lambda client: client.get(url, params={"flavor_type": kind})).json()
    assert {row["flavor_type"] for row in table["flavors"]} == types
    assert all(row["billing"]["code"] == FLAVORS[row["flavor_id"]].code for row in table["flavors"])
    assert table["total_count"] == len(table["flavors"])


def test_unknown_flavor_type():
    """
    A type that there is not is refused.
    """
    answer = asking(world_of(), lambda client: client.get(f"{V2}/training-job-flavors", params={"flavor_type": "TPU"}))
    assert answer.json()["error_code"] == "ModelArts.2788"


@pytest.mark.parametrize(
    ("params", "status", "names"),
    [
        pytest.param({}, 200, ["default", "team-b"], id="all"),
        pytest.param({"limit": 1}, 200, ["default"], id="first"),
        pytest.param({"limit": 1, "offset": 1}, 200, ["team-b"], id="second"),
        pytest.param({"limit": 1001}, 400, [], id="limit-too-big"),
        pytest.param({"offset": "x"}, 400, [], id="no-number"),
    ],
)
def test_workspaces(params, status, names):
    """
    Workspaces come in pages.
    """
    url = f"/v1/{DEFAULT_PROJECT}/workspaces"
    answer = asking(world_of(), lambda client: client.get(url, params=params))
    assert answer.status_code == status
    assert [row["name"] for row in answer.json().get("workspaces", [])] == names
