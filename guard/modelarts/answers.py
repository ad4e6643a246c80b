"""
What an answer that is not the wanted one means: status, error code and body become one error of the typed tree.

The same code number comes with different statuses (ModelArts.0203 with 401 and with 403), so both decide together. The
codes are those of the vendor's error table (Open Telekom Cloud's copy of it, ``error_codes.rst``) and of the API gateway.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from guard.errors import Conflict, JobGone, NeedsPerson, Refused, Retryable, TargetError, Unauthorized
from guard.modelarts.messages import Answer
from guard.modelarts.readings import Undecodable, decoded

MAX_MESSAGE = 200
FILTER_REFUSED = frozenset({"ModelArts.2807", "ModelArts.2808", "ModelArts.2809"})
_KEYS = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))
_PERSON = {
    400: {"0102", "0204", "0210", "2837", "2838", "2891", "7005"},
    401: {"0112", "0207", "0212", "6201", "6203"},
}
_NUMBER = re.compile(r"ModelArts\.(\d{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Problem:
    """
    The code and the text of an error body; both empty if there was none to read.
    """

    code: str = ""
    text: str = ""


def error_of(response: Answer, wanted: str, *, now: float, hide: Iterable[str] = ()) -> TargetError:
    """
    Return the error that a response stands for; *wanted* says what was asked for, *now* (epoch seconds) dates Retry-After.

    The texts of *hide* (credentials) are taken out of the message before it is cut to 200 characters.
    """
    status = response.status_code
    problem = problem_of(response.content)
    got = f"{status} {problem.code} {problem.text}" if problem.code or problem.text else f"{status} {_shape(response)}"
    request_id = response.headers.get("x-request-id", "")
    told = f"{got} (request {request_id[:40]})" if request_id else got
    return _kind(status, problem.code)(
        clean(f"{wanted}: {told}", hide=hide),
        status=status,
        code=problem.code or None,
        retry_after=retry_after(response.headers.get("retry-after"), now=now),
    )


def _kind(status: int, code: str) -> type[TargetError]:
    number = _NUMBER.fullmatch(code)
    if (status, code) == (400, "ModelArts.2775"):
        return JobGone
    if number is not None and number[1] in _PERSON.get(status, ()):
        return NeedsPerson
    if status == 429 or status == 408 or status >= 500:
        return Retryable
    # A redirect is never followed, because a signature must not go to another host: the endpoint or a proxy is set wrong.
    # A 404 is never a job that is gone, which the service says with 400: the path, the project or the pool is wrong.
    kinds: dict[int, type[TargetError]] = {401: Unauthorized, 403: NeedsPerson, 404: NeedsPerson, 409: Conflict}
    return NeedsPerson if 300 <= status < 400 else kinds.get(status, Refused)


def problem_of(body: bytes) -> Problem:
    """
    Return what an error body of ModelArts, its gateway or IAM says; bodies that are empty, HTML or broken say nothing.

    The order of the keys is the SDK's (``huaweicloudsdkcore`` 3.1.219, ``exception_handler.py``): at the top, then in any
    nested object. The gateway's older prefix ``APIG.`` is read as ``APIGW.``.
    """
    try:
        value = decoded(body)
    except Undecodable:
        return Problem()
    if not isinstance(value, dict):
        return Problem()
    for place in (value, *(each for each in value.values() if isinstance(each, dict))):
        for code_key, text_key in _KEYS:
            code, text = place.get(code_key), place.get(text_key)
            if code is not None or text is not None:
                return Problem(_code(code), text if isinstance(text, str) else "")
    return Problem()


def _code(code: object) -> str:
    if isinstance(code, int) and not isinstance(code, bool):
        return str(code)
    text = code[:64] if isinstance(code, str) else ""
    return text.replace("APIG.", "APIGW.", 1) if text.startswith("APIG.") else text


def _shape(response: Answer) -> str:
    if not response.content:
        return "with an empty body"
    return "with HTML instead of JSON" if is_html(response) else "with a body that says nothing readable"


def is_html(response: Answer) -> bool:
    """
    Tell whether the body is a page for people, as proxies and portals answer, whatever the status.
    """
    return "html" in response.headers.get("content-type", "") or response.content.lstrip()[:1] == b"<"


def clean(text: str, *, hide: Iterable[str] = ()) -> str:
    """
    Return *text* on one line, without the secrets of *hide*, cut to 200 characters.
    """
    for secret in hide:
        if secret:
            text = text.replace(secret, "[hidden]")
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 3] + "..."


def retry_after(value: str | None, *, now: float) -> float | None:
    """
    Return the seconds that a Retry-After header asks for (a number or an HTTP date), or None if it says nothing usable.
    """
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    at = http_date(text)
    return None if at is None else max(0.0, at - now)


def http_date(value: str | None) -> float | None:
    """
    Return the epoch seconds of an HTTP date, or None if it is not one.
    """
    try:
        at = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
