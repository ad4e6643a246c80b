"""
A call to the service and its answer, with what the guard needs of them and no more.

httpx's own Request and Response take a quarter of the processor time of a call, most of it for headers that nobody asks for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from guard.modelarts.address import Address

_SENDS_LENGTH = frozenset({"POST", "PUT", "PATCH"})

Fields = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Call:
    """
    One request; to its *headers* come the host, and the length of its *content*.
    """

    method: str
    address: Address
    headers: Mapping[str, str]
    content: bytes = b""

    def fields(self) -> list[tuple[bytes, bytes]]:
        """
        Return the headers as they are sent, those that httpx puts on a request included; raises ``UnicodeEncodeError``.
        """
        found = [(b"Host", self.address.netloc)]
        found += [(name.encode("ascii"), value.encode("ascii")) for name, value in self.headers.items()]
        if self.content or self.method in _SENDS_LENGTH:
            found.append((b"Content-Length", b"%d" % len(self.content)))
        return found

    def as_httpx(self, timeout: Mapping[str, float | None]) -> httpx.Request:
        """
        Return the request for a transport of httpx.
        """
        extensions = {"timeout": dict(timeout)}
        return httpx.Request(
            self.method, self.address.as_httpx(), headers=dict(self.headers), content=self.content, extensions=extensions
        )


class Headers:
    """
    The headers of an answer, asked for by their names in lower case.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Fields) -> None:
        self.fields = fields

    def get(self, name: str, default: str = "") -> str:
        """
        Return the value of a header; several of one name are joined by commas, as HTTP says.
        """
        wanted = name.encode("ascii")
        found = [value for key, value in self.fields if len(key) == len(wanted) and key.lower() == wanted]
        return b", ".join(found).decode("latin-1") if found else default


class Answer:
    """
    One answer, read to its end and unpacked.
    """

    __slots__ = ("content", "headers", "status_code")

    def __init__(self, status_code: int, fields: Fields, content: bytes) -> None:
        self.status_code = status_code
        self.headers = Headers(fields)
        self.content = content

    @property
    def text(self) -> str:
        """
        The content as text, whatever it is.
        """
        return self.content.decode("utf-8", errors="replace")


def answer_of(response: httpx.Response) -> Answer:
    """
    Return the answer that httpx has read; its content is unpacked.
    """
    return Answer(response.status_code, response.headers.raw, response.content)


def answered(status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> Answer:
    """
    Return the answer of what came over a connection; raises ``httpx.DecodingError`` if it cannot be unpacked.
    """
    if any(len(name) == 16 and name.lower() == b"content-encoding" for name, _ in fields):
        return answer_of(httpx.Response(status, headers=fields, content=body))
    return Answer(status, fields, body)
