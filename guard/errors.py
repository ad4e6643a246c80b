"""
The errors of the guard, by what the caller does about them.

::

    GuardError
    ├── BadInput                a person mends a file, a setting or an argument; nothing was changed
    │   └── PolicyErrors        every error of every policy file at once
    ├── LedgerUnusable          no record, no act: enforcement stops
    │   └── LedgerHeld          another process acts on this ledger
    │       └── LeaseLost       another process may act on this target; this one writes nothing about it
    └── TargetError             one target's call went wrong
        ├── Retryable           the same call may be repeated: throttled or a fault of the service
        ├── NoAnswer            nothing came back; the call may have been carried out
        ├── Unauthorized        the credentials were not accepted; renew them once
        ├── NeedsPerson         a right, an account or a setting is wrong; repeating does not help
        ├── JobGone             the job does not exist (any more)
        ├── Conflict            the job's state forbids the act now; read it again
        └── Refused             any other refusal
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class GuardError(Exception):
    """
    The root of every error that this project raises on purpose.
    """


class BadInput(GuardError):
    """
    A file, a setting or an argument is wrong; the message names it and says what was expected.
    """


class Severity(enum.StrEnum):
    """
    What a diagnostic means for its file: an error keeps the set from being taken, a warning does not.
    """

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """
    One error or warning about one policy file: where it stands and what is wrong.

    Line and column count from 1; line 0 is the whole file, column 0 the whole line. Warnings have a stable *code*.
    """

    file: str
    line: int
    column: int
    message: str
    policy: str | None = None
    severity: Severity = Severity.ERROR
    code: str = ""

    @property
    def place(self) -> str:
        """
        The place as far as it is known: file, file:line or file:line:column.
        """
        return ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)])

    def __str__(self) -> str:
        owner = f" [{self.policy}]" if self.policy else ""
        code = f" [{self.code}]" if self.code else ""
        return f"{self.place}: {self.severity.value}:{owner} {self.message}{code}"


class PolicyErrors(BadInput):
    """
    Policy files that cannot be taken, with every error of every file.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))

    def first(self, most: int) -> str:
        """
        Return the first *most* errors and how many more there are, for a log that a hostile file must not fill.
        """
        told = [str(diagnostic) for diagnostic in self.diagnostics[:most]]
        more = len(self.diagnostics) - most
        return "\n".join([*told, f"and {more} more errors, which guard validate shows"] if more > 0 else told)


class LedgerUnusable(GuardError):
    """
    The ledger cannot be read or written, so nothing may be done.
    """


class LedgerHeld(LedgerUnusable):
    """
    Another process acts on this ledger; this one may only read.
    """


class LeaseLost(LedgerHeld):
    """
    The lease of a target is not this process's any more: what was to be written about the target was not.
    """


class TargetError(GuardError):
    """
    A call to a target failed; *status* and *code* are the wire's, where there was an answer.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Retryable(TargetError):
    """
    Throttled (429) or a fault of the service (5xx); *retry_after* is in seconds where the service named it.

    Without a *status* nothing was sent: the credentials could not be had.
    """


class NoAnswer(TargetError):
    """
    The connection failed or timed out, so it is unknown whether the call was carried out.
    """


class Unauthorized(TargetError):
    """
    The credentials were refused (401).
    """


class NeedsPerson(TargetError):
    """
    A right is missing, the account is frozen or the project is wrong.
    """


class JobGone(TargetError):
    """
    There is no such job (HTTP 400 with ModelArts.2775).
    """


class Conflict(TargetError):
    """
    The job's state forbids the act at this moment (409).
    """


class Refused(TargetError):
    """
    The service refused the call for a reason that repeating does not change.
    """
