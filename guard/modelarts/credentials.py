"""
Credentials as values whose repr shows nothing, and the object that holds, renews and shares one identity's.

The sources that need no network are here: the SDK's environment names (in a mapping that is passed in) and the SDK's
credentials file. Where to look in which order is decided in ``chain``.
"""

import asyncio
import configparser
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from guard.errors import BadInput, TargetError
from guard.modelarts.signing import KeyPair

RETRY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """
    An access key, valid until *expires_at* (epoch seconds) if it is temporary.
    """

    keys: KeyPair
    expires_at: float | None = None

    def secrets(self) -> tuple[str, ...]:
        """
        Return the texts that may appear nowhere.
        """
        return (self.keys.secret, self.keys.security_token or "", self.keys.access)


@dataclass(frozen=True, slots=True, kw_only=True)
class IamToken:
    """
    An IAM token, valid until *expires_at* (epoch seconds).
    """

    token: str = field(repr=False)
    expires_at: float | None = None

    def secrets(self) -> tuple[str, ...]:
        """
        Return the texts that may appear nowhere.
        """
        return (self.token,)


Credential = AccessKey | IamToken
Fetch = Callable[[], Awaitable[Credential]]


class Credentials:
    """
    One identity's credentials: fetched at the first need, again *early_s* before they expire, and when they were refused.

    At most one fetch is under way at a time, and who waits for it shares its result. *now* gives epoch seconds.
    """

    def __init__(self, fetch: Fetch, now: Callable[[], float], *, identity: str, early_s: float = 0.0) -> None:
        self._fetch = fetch
        self._now = now
        self._identity = identity
        self._early_s = early_s
        self._held: Credential | None = None
        self._tried_at = float("-inf")
        self._fetched = 0
        self._lock = asyncio.Lock()

    async def current(self) -> Credential:
        """
        Return credentials that are valid now; those about to expire serve on while new ones cannot be had.
        """
        held = self._held
        if held is not None and not self._due(held):
            return held
        try:
            return await self.renew(refused=held)
        except TargetError:
            if held is not None and held.expires_at is not None and self._now() < held.expires_at:
                return held
            raise

    async def renew(self, *, refused: Credential | None = None) -> Credential:
        """
        Return new credentials; if *refused* ones were replaced in the meantime, those that replaced them.
        """
        seen = self._fetched
        async with self._lock:
            replaced = refused is not None and self._held is not refused
            if self._held is not None and (replaced or self._fetched != seen):
                return self._held
            self._tried_at = self._now()
            self._held = await self._fetch()
            self._fetched += 1
            return self._held

    def _due(self, held: Credential) -> bool:
        if held.expires_at is None:
            return False
        now = self._now()
        if now >= held.expires_at:
            return True
        return now >= held.expires_at - self._early_s and now >= self._tried_at + RETRY_S

    @property
    def expires_at(self) -> float | None:
        """
        When the credentials in use expire (epoch seconds), or None if they do not or there are none yet.
        """
        return None if self._held is None else self._held.expires_at

    def tag(self) -> str:
        """
        Return a digest of the identity and of a lasting key, which changes when a person changes either.

        Temporary keys, tokens and passwords are left out: the first two change by themselves every hour or day and bring no
        new rights, and a short password could be guessed from a digest of it.
        """
        lasting = isinstance(self._held, AccessKey) and self._held.expires_at is None and not self._held.keys.security_token
        parts = [self._identity, *(self._held.secrets() if self._held is not None and lasting else ())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def from_environment(environment: Mapping[str, str]) -> AccessKey | None:
    """
    Return the key under the SDK's names, or None if there is none; one half of a key is ``BadInput``.
    """
    prefix = "HUAWEICLOUD_SDK_"
    names = {name: f"{prefix}{name.upper()}" for name in ("ak", "sk", "security_token")}
    return _key({name: environment.get(names[name], "") for name in names}, "the environment", names)


def from_file(path: Path, section: str) -> AccessKey:
    """
    Return the key in a section of the SDK's credentials file (INI: ak, sk, security_token), or raise ``BadInput``.

    The parser's own words are not repeated, because they quote lines of the file.
    """
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise BadInput(f"cannot read the credentials file {str(path)!r}: {type(error).__name__}") from None
    except configparser.Error as error:
        raise BadInput(f"the credentials file {str(path)!r} is no INI file: {type(error).__name__}") from None
    if not parser.has_section(section):
        held = ", ".join(parser.sections()) or "none"
        raise BadInput(f"the credentials file {str(path)!r} has no section {section!r}; it has: {held}")
    names = {name: name for name in ("ak", "sk", "security_token")}
    where = f"section {section!r} of {str(path)!r}"
    key = _key({name: parser.get(section, name, fallback="") or "" for name in names}, where, names)
    if key is None:
        raise BadInput(f"{where} holds no ak and sk")
    return key


def _key(values: Mapping[str, str], where: str, names: Mapping[str, str]) -> AccessKey | None:
    stripped = {name: value.strip() for name, value in values.items()}
    for name, value in stripped.items():
        if not value.isascii() or any(not char.isprintable() or char == " " for char in value):
            raise BadInput(f"{names[name]} in {where} holds characters that no key has")
    if not stripped["ak"] and not stripped["sk"]:
        return None
    for name in ("ak", "sk"):
        if not stripped[name]:
            raise BadInput(f"{names[name]} is missing in {where}, which has the other half of the key")
    token = stripped["security_token"] or None
    return AccessKey(keys=KeyPair(access=stripped["ak"], secret=stripped["sk"], security_token=token))
