"""
The signature of requests, against vectors that the vendor's SDK 3.1.219 gave for made-up keys.
"""

import asyncio
import hashlib
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import httpx
import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import given
from hypothesis import strategies as st

from guard.modelarts.signing import KeyPair, Signable, SigningAuth, canonical_request, signature, signed_headers

AK = "AKEXAMPLE00000000001"
SK = "SKexample0000000000000000000000000000001"
PROJECT = "0123456789abcdef0123456789abcdef"
HOST = "modelarts.cn-north-4.myhuaweicloud.com"
JOB = f"/v2/{PROJECT}/training-jobs/cf63aba9-63b1-4219-b717-708a2665100b"
DATE = {"host": HOST, "x-sdk-date": "20251123T103000Z"}
UTF8 = {**DATE, "content-type": "application/json;charset=UTF-8", "x-project-id": PROJECT}
PLAIN = {**DATE, "content-type": "application/json", "x-project-id": PROJECT}
TERMINATE = b'{"action_type": "terminate"}'
SEARCH = (
    b'{"offset": 0, "limit": 50, "sort_by": "create_time", "order": "desc", "filters": '
    b'[{"key": "phase", "operator": "in", "value": ["Creating", "Pending", "Running"]}]}'
)
A = Signable(method="POST", path=f"{JOB}/actions", headers=UTF8, body=TERMINATE)
B = Signable(method="POST", path=f"{JOB}/actions", headers={**UTF8, "x-security-token": "STEXAMPLETOKEN"}, body=TERMINATE)
C = Signable(method="GET", path=JOB, headers=PLAIN)
D = Signable(method="POST", path=f"/v2/{PROJECT}/training-job-searches", headers=UTF8, body=SEARCH)
E = Signable(method="GET", path=f"/v2/{PROJECT}/training-job-flavors", query="flavor_type=GPU", headers=PLAIN)
G = Signable(method="POST", path=f"{JOB}/actions", headers={**DATE, "content-type": "application/json"}, body=TERMINATE)
H = Signable(method="POST", path=f"{JOB}/actions", headers=PLAIN, body=b'{"action_type":"terminate"}')


@pytest.mark.parametrize(
    ("request_", "canonical", "proof"),
    [
        pytest.param(
            A,
            "bf0412e09577f612a78b13181c9ee0d3a53c79b617fb30acc5a9b7a46b0c6c95",
            "1918590d213f7c7ba918320733b6f0e68253a018eabf56df3a04537e843da9b1",
            id="A-terminate",
        ),
        pytest.param(
            B,
            "c018e206b3d7e74ceec61edb96306cdde8739aa91aa859917797613c1a61b8e8",
            "ab669bd5772df7956ad96051799c3179b5dd1c21d517ffb9648c48b3f0b501e9",
            id="B-security-token",
        ),
        pytest.param(
            C,
            "ba5be42a6e5897c10b2f61544ffa40c0e5da807baec9266afe3aeca969acf667",
            "04358ba3315dab3a2d74cf84618b7cce979e4e25189f24bd0273d677fa699b3e",
            id="C-show",
        ),
        pytest.param(
            D,
            "416d93ec9733df3697ebd4d4097c6f98941883241bc0354d713f1de882b6af25",
            "4fbcffdbcf867f62eaae0218d40f77e07677af5418a459c0e1c9a52644a8c541",
            id="D-search",
        ),
        pytest.param(
            E,
            "2b9cbc0134ed0ffa6b837098e22b9b8fa534c7edabbece269909d0ba45f6a326",
            "36ff6ec6e30b91076e3e3330a91e06c71fed3e6bbf62a66cede3118fa85a3d1a",
            id="E-query",
        ),
        pytest.param(
            G,
            "841561bb925388e0de7f10350f8f5725c26b5d9225f28ba5fc501dbb7e202c10",
            "db6417f7a768d3957fc90400dc8d14f375ba25a9c3e0f5a03e3a88a9180f4ee5",
            id="G-no-project-header",
        ),
        pytest.param(H, None, "ae924316cee95dd7b6d0813b8adb3cf3cb866be8f46064efcf2d579151f9f077", id="H-compact-body"),
    ],
)
def test_vectors(request_, canonical, proof):
    """
    Canonical request and signature are those of the vendor's signer.
    """
    if canonical is not None:
        assert hashlib.sha256(canonical_request(request_).encode()).hexdigest() == canonical
    assert signature(request_, SK) == proof


def test_canonical_form_of_odd_paths_and_queries():
    """
    Segments are encoded one by one, so that an encoded slash stays inside its segment, and the query is sorted.
    """
    request = Signable(method="get", path="/v2/a%2Fb%3Fc~/x y", query="b=2&a=%20&a=", headers=DATE)
    lines = canonical_request(request).split("\n")
    assert lines[:3] == ["GET", "/v2/a%2Fb%3Fc~/x%20y/", "a=&a=%20&b=2"]
    assert signed_headers(request) == "host;x-sdk-date"


@pytest.mark.parametrize("token", [None, "STEXAMPLETOKEN"])
def test_signing_a_request_of_httpx(token):
    """
    What httpx sends carries the signature of vector A's request, over the signed headers only.
    """
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(202)

    async def run() -> None:
        auth = SigningAuth(KeyPair(access=AK, secret=SK, security_token=token), project_id=PROJECT, now=lambda: 1763893800.0)
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
            headers = {"content-type": "application/json;charset=UTF-8"}
            await client.post(f"https://{HOST}{JOB}/actions", content=TERMINATE, headers=headers, auth=auth)

    asyncio.run(run())
    proof = signature(A if token is None else B, SK)
    assert sent[0].headers["x-sdk-date"] == "20251123T103000Z"
    assert sent[0].headers["authorization"] == (
        f"SDK-HMAC-SHA256 Access={AK}, SignedHeaders={signed_headers(A if token is None else B)}, Signature={proof}"
    )


_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="/"), max_size=12)


@given(
    method=st.sampled_from(["GET", "POST", "PUT"]),
    job_id=_WORDS,
    query=st.dictionaries(_WORDS.filter(bool), _WORDS, max_size=3),
    body=st.binary(max_size=64),
    secret=st.text("abcDEF019", min_size=1, max_size=40),
)
def test_against_the_vendors_signer(method, job_id, query, body, secret):
    """
    For any path, query and body the signature is the one that the vendor's own signer computes.
    """
    path = f"/v2/{PROJECT}/training-jobs/{quote(job_id, safe='')}"
    theirs = SdkRequest(
        method=method,
        schema="https",
        host=HOST,
        resource_path=path,
        query_params=list(query.items()),
        header_params={"X-Sdk-Date": DATE["x-sdk-date"], "Content-Type": "application/json", "X-Project-Id": PROJECT},
        body=body,
    )
    Signer(SimpleNamespace(ak=AK, sk=secret)).sign(theirs)
    ours = Signable(method=method, path=path, query=urlencode(query), headers=PLAIN, body=body)
    assert theirs.header_params["Authorization"].endswith(
        f"SignedHeaders={signed_headers(ours)}, Signature={signature(ours, secret)}"
    )
