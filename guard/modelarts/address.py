"""
Where a call goes: to which server, and what of it.

httpx reads a whole address anew for every path, which takes longer than signing the call; of an endpoint it is done once.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import httpx

_PORTS = {"http": 80, "https": 443}
# Paths that httpx leaves as they are: nothing to quote, and no segment that leads back.
_PLAIN = re.compile(r"(?:/(?!\.)[A-Za-z0-9._~-]+)+")


class Place(NamedTuple):
    """
    Where a connection leads.
    """

    scheme: str
    host: str
    port: int


class Address(NamedTuple):
    """
    A place, its name as the header ``Host`` has it, and the path with its query as they are sent.
    """

    place: Place
    netloc: bytes
    raw_path: bytes

    def as_httpx(self) -> httpx.URL:
        """
        Return the same as httpx has it.
        """
        return httpx.URL(f"{self.place.scheme}://{self.netloc.decode('ascii')}{self.raw_path.decode('ascii')}")


def address_of(url: httpx.URL) -> Address:
    """
    Return the address that httpx has read.
    """
    place = Place(url.scheme, url.raw_host.decode("ascii").strip("[]"), url.port or _PORTS[url.scheme])
    return Address(place, url.netloc, url.raw_path)


def is_plain(path: str) -> bool:
    """
    Tell whether a path is sent as it stands, and signed so.
    """
    return _PLAIN.fullmatch(path) is not None


class Endpoint:
    """
    The server at a base URL, and what is below it.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        # Read when it is first asked for: what is wrong with it is told by the call.
        self._root: Address | None = None

    def at(self, path: str, params: Mapping[str, str] | None = None) -> Address:
        """
        Return the address of a path, which is quoted already, with those parameters. Raises ``httpx.InvalidURL``.
        """
        if params or not is_plain(path):
            url = httpx.URL(self._url + path)
            return address_of(url.copy_merge_params(params) if params else url)
        if self._root is None:
            self._root = address_of(httpx.URL(self._url + "/"))
        return self._root._replace(raw_path=self._root.raw_path[:-1] + path.encode("ascii"))
