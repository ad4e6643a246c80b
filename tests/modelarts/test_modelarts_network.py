"""
Proxies and certificates that the environment names: what is taken, and what is refused without repeating a password.
"""

import ssl

import certifi
import pytest

from guard.errors import BadInput
from guard.modelarts import certificates_of, proxy_of


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"HTTPS_PROXY": ""}, None, id="empty"),
        pytest.param({"HTTPS_PROXY": "http://u:p@h:3128"}, "http://u:p@h:3128", id="url"),
        pytest.param({"https_proxy": "https://h"}, "https://h", id="small-letters"),
        pytest.param({"HTTPS_PROXY": "h:3128"}, "http://h:3128", id="without-a-scheme"),
        pytest.param({"HTTPS_PROXY": " h:3128\n"}, "http://h:3128", id="white-space"),
    ],
)
def test_proxies(environment, proxy):
    """
    A proxy is a URL, or a host and a port alone as other programs take it.
    """
    assert proxy_of(environment) == proxy


@pytest.mark.parametrize("text", ["foo://u:pass@h", "socks5://u:pass@h", "http://u:pass@", "u:pass@h:99999", "u:pass@h:x"])
def test_broken_proxies(text):
    """
    Anything else is refused by the name of its variable, and not repeated.
    """
    with pytest.raises(BadInput, match=r"^https_proxy: ") as raised:
        proxy_of({"https_proxy": text})
    assert "pass" not in str(raised.value)


def test_certificates(tmp_path):
    """
    A bundle is read, and one that is missing or holds no certificate is named.
    """
    assert certificates_of({}) is True
    assert isinstance(certificates_of({"SSL_CERT_FILE": certifi.where()}), ssl.SSLContext)
    empty = tmp_path / "empty.pem"
    empty.touch()
    for bundle in (empty, tmp_path, tmp_path / "none.pem"):
        with pytest.raises(BadInput, match="SSL_CERT_FILE") as raised:
            certificates_of({"SSL_CERT_FILE": str(bundle)})
        assert str(bundle) in str(raised.value)
