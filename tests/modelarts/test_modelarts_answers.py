"""
What answers that are not the wanted ones turn into.
"""

import httpx
import pytest
from calling import NOW, refusal

from guard.errors import Conflict, JobGone, NeedsPerson, Refused, Retryable, Unauthorized
from guard.modelarts.answers import clean, error_of, problem_of, retry_after

REACTIONS = [
    (400, "ModelArts.2775", JobGone),
    (404, "ModelArts.2775", NeedsPerson),
    (409, "ModelArts.2796", Conflict),
    (409, "ModelArts.2878", Conflict),
    (409, "ModelArts.2813", Conflict),
    (400, "ModelArts.2812", Refused),
    (400, "ModelArts.2788", Refused),
    (400, "ModelArts.2787", Refused),
    (400, "ModelArts.2764", Refused),
    (400, "ModelArts.2789", Refused),
    (400, "ModelArts.2790", Refused),
    (400, "ModelArts.2807", Refused),
    (400, "ModelArts.2808", Refused),
    (400, "ModelArts.2809", Refused),
    (400, "ModelArts.2781", Refused),
    (400, "ModelArts.2815", Refused),
    (400, "ModelArts.2858", Refused),
    (400, "ModelArts.2837", NeedsPerson),
    (400, "ModelArts.2838", NeedsPerson),
    (400, "ModelArts.2891", NeedsPerson),
    (400, "ModelArts.0102", NeedsPerson),
    (400, "ModelArts.7005", NeedsPerson),
    (400, "ModelArts.0204", NeedsPerson),
    (400, "ModelArts.0210", NeedsPerson),
    (401, "ModelArts.0201", Unauthorized),
    (401, "ModelArts.0202", Unauthorized),
    (401, "ModelArts.0203", Unauthorized),
    (401, "ModelArts.0204", Unauthorized),
    (401, "ModelArts.0207", NeedsPerson),
    (401, "ModelArts.0212", NeedsPerson),
    (401, "ModelArts.6201", NeedsPerson),
    (401, "ModelArts.6203", NeedsPerson),
    (401, "ModelArts.0112", NeedsPerson),
    (403, "ModelArts.0108", NeedsPerson),
    (403, "ModelArts.0112", NeedsPerson),
    (403, "ModelArts.0203", NeedsPerson),
    (403, "ModelArts.0206", NeedsPerson),
    (403, "ModelArts.0210", NeedsPerson),
    (403, "ModelArts.2784", NeedsPerson),
    (403, "ModelArts.2785", NeedsPerson),
    (404, "ModelArts.2786", NeedsPerson),
    (404, "ModelArts.2836", NeedsPerson),
    (404, "ModelArts.2890", NeedsPerson),
    (405, "ModelArts.2803", Refused),
    (429, "ModelArts.2799", Retryable),
    (429, "ModelArts.4206", Retryable),
    (429, "ModelArts.6101", Retryable),
    (500, "ModelArts.0010", Retryable),
    *((500, f"ModelArts.{number}", Retryable) for number in range(2950, 2956)),
    (404, "APIGW.0101", NeedsPerson),
    (400, "APIGW.0201", Refused),
    (413, "APIGW.0201", Refused),
    (414, "APIGW.0201", Refused),
    (494, "APIGW.0201", Refused),
    (502, "APIGW.0201", Retryable),
    (504, "APIGW.0201", Retryable),
    (401, "APIGW.0301", Unauthorized),
    (403, "APIGW.0302", NeedsPerson),
    (401, "APIGW.0303", Unauthorized),
    (403, "APIGW.0306", NeedsPerson),
    (401, "APIGW.0307", Unauthorized),
    (429, "APIGW.0308", Retryable),
    (429, "APIG.0308", Retryable),
    (403, "APIGW.0310", NeedsPerson),
    (500, "APIGW.0601", Retryable),
    (503, "APIGW.0613", Retryable),
    (403, "APIGW.0802", NeedsPerson),
    (400, "ModelArts.9999", Refused),
    (418, "", Refused),
    (301, "", NeedsPerson),
    (307, "", NeedsPerson),
]


@pytest.mark.parametrize(("status", "code", "kind"), REACTIONS, ids=lambda value: str(value))
def test_reactions(status, code, kind):
    """
    Status and code together decide what a caller does about a refusal.
    """
    error = error_of(refusal(status, code, "the text"), "job 'j'", now=NOW)
    assert type(error) is kind
    assert (error.status, error.code) == (status, code.replace("APIG.", "APIGW.") or None)
    assert str(error).startswith(f"job 'j': {status}")


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        pytest.param(b'{"error_msg":"m","error_code":"c","error_solution":"s"}', "c", "m", id="modelarts"),
        pytest.param(b'{"error_msg":"m","error_code":"APIG.0101","request_id":"r"}', "APIGW.0101", "m", id="gateway"),
        pytest.param(b'{"error":{"code":401,"message":"m","title":"Unauthorized"}}', "401", "m", id="iam"),
        pytest.param(b'{"is_success":false,"error_code":"c","error_msg":"m"}', "c", "m", id="v1"),
        pytest.param(b'{"request_id":"r","code":"c","message":"m"}', "c", "m", id="smn"),
        pytest.param(b'{"errorCode":"c","errorMsg":"m"}', "c", "m", id="camel"),
        pytest.param(b'{"error_code":["c"],"error_msg":{}}', "", "", id="wrong-types"),
        pytest.param(b"", "", "", id="empty"),
        pytest.param(b"<html>Bad Gateway</html>", "", "", id="html"),
        pytest.param(b'{"error_code":"c","err', "", "", id="truncated"),
        pytest.param(b"[1]", "", "", id="list"),
        pytest.param(b"\xff\xfe", "", "", id="binary"),
        pytest.param(b"[" * 100_000, "", "", id="deep"),
    ],
)
def test_error_bodies(body, code, text):
    """
    The bodies of ModelArts, the gateway and IAM are read, and any other says nothing instead of failing.
    """
    problem = problem_of(body)
    assert (problem.code, problem.text) == (code, text)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "500 with an empty body", id="empty"),
        pytest.param(b"<html>secret page</html>", "500 with HTML instead of JSON", id="html"),
        pytest.param(b"oops", "500 with a body that says nothing readable", id="text"),
    ],
)
def test_bodies_without_a_code_are_described(content, words):
    """
    A message says what kind of body came instead of quoting a page.
    """
    assert str(error_of(httpx.Response(500, content=content), "flavor table", now=NOW)) == f"flavor table: {words}"


def test_messages_are_short_single_lines_without_secrets():
    """
    A secret that the service echoes is taken out before the message is cut to 200 characters.
    """
    text = "x" * 180 + "SECRET" + "y" * 100 + "\n\x1b[31m"
    error = error_of(refusal(401, "APIGW.0301", text), "job", now=NOW, hide=("SECRET", ""))
    assert "SECR" not in str(error)
    assert len(str(error)) == 200
    assert clean("a\n\x1b\tb") == "a b"


def test_the_request_id_is_named():
    """
    The id that the vendor's support asks for is in the message.
    """
    response = httpx.Response(500, headers={"x-request-id": "abc123"}, content=b"")
    assert str(error_of(response, "job", now=NOW)).endswith("(request abc123)")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param(None, None, id="missing"),
        pytest.param("0", 0.0, id="zero"),
        pytest.param(" 120 ", 120.0, id="seconds"),
        pytest.param("Mon, 24 Nov 2025 16:00:30 GMT", 30.0, id="date"),
        pytest.param("Mon, 24 Nov 2025 15:00:00 GMT", 0.0, id="past-date"),
        pytest.param("-5", None, id="negative"),
        pytest.param("1e9", None, id="exponent"),
        pytest.param("9" * 400, None, id="huge"),
        pytest.param("soon", None, id="words"),
        pytest.param("٣", None, id="other-digits"),
    ],
)
def test_retry_after(value, seconds):
    """
    Retry-After is seconds or an HTTP date; anything else is ignored.
    """
    assert retry_after(value, now=NOW) == seconds
