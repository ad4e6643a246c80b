"""
Calls and answers in few words say what httpx's own would say.
"""

import gzip

import httpx
import pytest

from guard.modelarts.address import address_of
from guard.modelarts.messages import Answer, Call, answer_of, answered

URL = httpx.URL("https://modelarts.cn-north-4.myhuaweicloud.com:8443/v2/p/training-jobs/j?x=%20a")


@pytest.mark.parametrize(
    ("method", "content"),
    [
        pytest.param("GET", b"", id="read"),
        pytest.param("POST", b'{"action_type":"terminate"}', id="act"),
        pytest.param("POST", b"", id="post-nothing"),
        pytest.param("PUT", b"", id="put-nothing"),
    ],
)
def test_a_call_is_sent_as_httpx_would_send_it(method, content):
    """
    Host, headers and length are those of httpx, in its order.
    """
    call = Call(method, address_of(URL), {"content-type": "application/json", "X-Sdk-Date": "1"}, content)
    wanted = httpx.Request(method, URL, headers=dict(call.headers), content=content)
    assert sorted(call.fields()) == sorted(wanted.headers.raw)
    assert call.fields()[0] == (b"Host", URL.netloc)
    same = call.as_httpx({"read": 5.0})
    assert (same.headers.raw, same.content, same.url) == (wanted.headers.raw, content, URL)
    assert same.extensions == {"timeout": {"read": 5.0}}


def test_a_header_that_is_no_ascii_is_refused():
    """
    Nothing is sent with a header that only looks like the one that was meant.
    """
    with pytest.raises(UnicodeEncodeError):
        Call("GET", address_of(URL), {"x-auth-token": "t\u00f6ken"}).fields()


def test_headers_are_found_by_any_case_and_joined():
    """
    A header is found however it is written; several of one name are one, and one that is not there is the default.
    """
    answer = Answer(200, [(b"Date", b"now"), (b"X-A", b"1"), (b"x-a", b"2"), (b"X-Odd", b"\xe9")], b"")
    assert (answer.headers.get("date"), answer.headers.get("x-a")) == ("now", "1, 2")
    assert (answer.headers.get("x-odd"), answer.headers.get("x-b", "none"), answer.headers.get("x-b")) == (
        "\xe9",
        "none",
        "",
    )


def test_what_was_packed_is_unpacked():
    """
    A content that was packed on the way is unpacked, and one that cannot be is no answer.
    """
    packed = gzip.compress(b"{}")
    assert answered(200, [(b"Content-Encoding", b"gzip")], packed).content == b"{}"
    assert answered(200, [(b"Content-Type", b"gzip")], packed).content == packed
    with pytest.raises(httpx.DecodingError):
        answered(200, [(b"content-encoding", b"gzip")], b"no gzip")


def test_an_answer_of_httpx_says_the_same():
    """
    Status, headers, content and text are those of httpx.
    """
    whole = answer_of(httpx.Response(201, headers={"X-Subject-Token": "t"}, content="t\u00f6".encode()))
    assert (whole.status_code, whole.headers.get("x-subject-token"), whole.text) == (201, "t", "t\u00f6")
    assert Answer(200, [], b"\xff").text == "\ufffd"
