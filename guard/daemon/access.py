"""
Who may ask the listener what: its certificate and its bearer tokens, read from files and taken anew when those change.

Nothing is served in here. A token is kept as a digest only, and no message holds one.
"""

import hashlib
import hmac
import ssl
from dataclasses import dataclass
from pathlib import Path

import structlog

from guard.errors import BadInput

LEAST_TOKEN = 16
_SCHEME = "bearer "

log = structlog.get_logger("guard")

Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessFiles:
    """
    Where certificate and key (both or neither, PEM) and the tokens lie; None is what the listener does without.
    """

    certificate: Path | None = None
    key: Path | None = None
    tokens: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            raise BadInput("listen_certificate and listen_key: expected both or neither")

    def stamp(self) -> tuple[Stamp, ...]:
        """
        Return what is another whenever one of the files is, behind every symlink: a mounted Secret consists of them.
        """
        return tuple(_stamp(one) for one in (self.certificate, self.key, self.tokens) if one is not None)


class Access:
    """
    The certificate and the tokens in force.

    Raises ``BadInput`` that names the file if they cannot be used to begin with; later ones that cannot change nothing.
    """

    def __init__(self, files: AccessFiles) -> None:
        self._files = files
        self._refused: tuple[Stamp, ...] = ()
        self._taken = files.stamp()
        self._tokens = _read_tokens(files.tokens)
        self.tls = _context(files)
        """What encrypts the listener, or None for plain HTTP. It stays the same object when its certificate is renewed."""

    @property
    def secured(self) -> bool:
        """
        Whether a token is asked for at all.
        """
        return self._files.tokens is not None

    def may_read(self, authorization: str) -> bool:
        """
        Tell whether a request with this ``Authorization`` header ("" if none) may see what is not public.
        """
        return not self.secured or self._knows(authorization)

    def may_change(self, authorization: str) -> bool:
        """
        Tell whether a request may change the state of the guard: never without a token, so never if there is none.
        """
        return self.secured and self._knows(authorization)

    def refresh(self) -> None:
        """
        Take the files again if they changed; what cannot be used is logged once and leaves the last good ones in force.
        """
        seen = self._files.stamp()
        if seen in (self._taken, self._refused):
            return
        try:
            tokens = _read_tokens(self._files.tokens)
            if self.tls is not None:
                # Tried out first: a pair that does not fit would leave half of it behind.
                _context(self._files)
                _load(self.tls, self._files)
        except BadInput as error:
            self._refused = seen
            log.error("access.refused", error=str(error))
            return
        self._tokens, self._taken, self._refused = tokens, seen, ()
        log.info("access.taken")

    def _knows(self, authorization: str) -> bool:
        if not authorization.lower().startswith(_SCHEME):
            return False
        given = _digest(authorization[len(_SCHEME) :].strip())
        # Every token is compared, and digests of one length: the time tells nothing of how near a guess came.
        return sum(hmac.compare_digest(given, one) for one in self._tokens) > 0


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _stamp(path: Path) -> Stamp:
    try:
        seen = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def _read_tokens(path: Path | None) -> tuple[bytes, ...]:
    return () if path is None else tuple(map(_digest, tokens_of(path)))


def tokens_of(path: Path) -> list[str]:
    """
    Return the tokens of a file, in their order; raises ``BadInput`` that holds none of them.
    """
    try:
        lines = path.read_text(encoding="ascii").split("\n")
    except OSError as error:
        raise BadInput(f"listen_token_file: {path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise BadInput(f"listen_token_file: {path}: expected tokens in ASCII, one a line") from None
    tokens = [line.strip() for line in lines if line.strip()]
    if not tokens:
        raise BadInput(f"listen_token_file: {path}: expected at least one token, one a line, got none")
    for token in tokens:
        if len(token) < LEAST_TOKEN or any(not "!" <= char <= "~" for char in token):
            raise BadInput(
                f"listen_token_file: {path}: expected tokens of at least {LEAST_TOKEN} characters without spaces, one a line"
            )
    return tokens


def _context(files: AccessFiles) -> ssl.SSLContext | None:
    if files.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, files)
    return context


def _load(context: ssl.SSLContext, files: AccessFiles) -> None:
    if files.certificate is None:
        return
    try:
        # An encrypted key would ask the terminal for its password; there is none.
        context.load_cert_chain(files.certificate, files.key, password="")
    except (OSError, ValueError) as error:
        why = error.reason if isinstance(error, ssl.SSLError) and error.reason else getattr(error, "strerror", None) or error
        raise BadInput(
            f"listen_certificate: {files.certificate} and listen_key: {files.key} are no certificate and key in PEM that "
            f"belong together: {why}"
        ) from error
