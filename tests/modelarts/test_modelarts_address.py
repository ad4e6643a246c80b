"""
Addresses that are put together from what was read once are those that httpx reads.
"""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import Refused
from guard.modelarts.address import Endpoint, Place, address_of, is_plain
from guard.modelarts.service import job_path
from guard.modelarts.signing import KeyPair, SigningAuth

BASES = (
    "https://modelarts.cn-north-4.myhuaweicloud.com",
    "http://127.0.0.1:8080",
    "https://[::1]:8443",
    "https://proxy.test/modelarts",
    "https://xn--bcher-kva.test",
    "https://b\u00fccher.test:443",
)


@given(st.sampled_from(BASES), st.text(min_size=1, max_size=12), st.dictionaries(st.text(max_size=4), st.text(max_size=4)))
def test_an_address_is_the_one_that_httpx_reads(base, text, params):
    """
    Whatever a job is called: place, name and path are those of httpx, with parameters and without.
    """
    try:
        path = job_path("0123456789abcdef0123456789abcdef", text)
    except Refused:  # no id at all
        return
    wanted = httpx.URL(base + path)
    found = Endpoint(base).at(path)
    assert found == address_of(wanted)
    assert found.as_httpx() == wanted
    if params:
        assert Endpoint(base).at(path, params) == address_of(wanted.copy_merge_params(params))


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        pytest.param("/v2/p/training-jobs/5c6a-4_e~b.1/actions", True, id="a-job"),
        pytest.param("/v2/../p", False, id="leads-back"),
        pytest.param("/v2/.hidden", False, id="begins-with-a-dot"),
        pytest.param("/v2//p", False, id="empty"),
        pytest.param("/v2/p/", False, id="ends-with-a-slash"),
        pytest.param("/v2/a%20b", False, id="quoted"),
        pytest.param("/v2/p?x=1", False, id="query"),
        pytest.param("/v2/p\n", False, id="line-break"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_only_what_nobody_changes_is_plain(path, plain):
    """
    A path that httpx or the signature would write otherwise is not taken as it is.
    """
    assert is_plain(path) is plain


@given(st.from_regex(r"(/(?!\.)[A-Za-z0-9._~-]{1,8}){1,5}", fullmatch=True))
def test_a_plain_path_is_signed_as_it_is_sent(path):
    """
    A plain path has the signature of the same path with its first letter quoted, which the gateway takes for one.
    """
    auth = SigningAuth(KeyPair(access="A", secret="S"), project_id="p", now=lambda: 0.0)
    address = address_of(httpx.URL("https://modelarts.test" + path))
    quoted = path[0] + f"%{ord(path[1]):02X}" + path[2:]
    assert (is_plain(path), is_plain(quoted)) == (True, False)
    same = address._replace(raw_path=quoted.encode("ascii"))
    assert auth.headers("GET", address, b"") == auth.headers("GET", same, b"")


def test_a_place_has_the_port_of_its_scheme():
    """
    A port that is not said is that of the scheme, and a host in brackets is the address within.
    """
    assert address_of(httpx.URL("https://[::1]/x")).place == Place("https", "::1", 443)
    assert address_of(httpx.URL("http://a.test/x")).place == Place("http", "a.test", 80)


def test_an_endpoint_that_is_no_url_is_told_by_the_call():
    """
    What is wrong with an endpoint is raised when it is called, not when it is put together.
    """
    with pytest.raises(httpx.InvalidURL):
        Endpoint("https://a.test:port").at("/v2/p")
