"""
What a company's network asks for: the proxy and the certificates that the environment names.

Nothing is connected in here. A proxy's address may hold a password, so no message repeats it.
"""

import ssl
from collections.abc import Mapping

import httpx

from guard.errors import BadInput

PROXIES = ("HTTPS_PROXY", "https_proxy")
BUNDLE = "SSL_CERT_FILE"
LAST_PORT = 65_535


def proxy_of(environment: Mapping[str, str]) -> str | None:
    """
    Return the URL of the proxy, or None if there is none; ``host:port`` alone is one of http, as curl reads it.

    Raises ``BadInput`` for anything that is no proxy.
    """
    name = next((each for each in PROXIES if environment.get(each)), None)
    if name is None:
        return None
    given = environment[name].strip()
    text = given if "://" in given else f"http://{given}"
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or not has_port(url):
        raise BadInput(f"{name}: expected a proxy such as http://proxy.example:3128, of http or https")
    return text


def certificates_of(environment: Mapping[str, str]) -> ssl.SSLContext | bool:
    """
    Return whom to trust: the bundle that the environment names, else what httpx brings (True).

    Raises ``BadInput`` for a bundle that cannot be used.
    """
    bundle = environment.get(BUNDLE)
    if not bundle:
        return True
    try:
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInput(f"{BUNDLE}: {bundle[:200]!r} is no file of PEM certificates: {why}") from error


def has_port(url: httpx.URL) -> bool:
    """
    Tell whether the port of a URL is one, or is left to its scheme.
    """
    return url.port is None or 0 < url.port <= LAST_PORT
