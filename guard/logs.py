"""
How the guard logs: JSON lines, or a readable console on a terminal.
"""

import contextlib
import logging
import sys
from typing import TextIO, cast

import structlog


class _Forgiving:
    """
    A stream whose failures are nobody's: a log on a full disk, or to a reader that has gone, must end no heartbeat and no
    termination that is on its way.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def configure_logs(*, stream: TextIO | None = None, quiet: bool = False) -> None:
    """
    Send structlog and the libraries' warnings to *stream* (standard error); *quiet* keeps only errors. What the stream does
    not take is lost.
    """
    out = stream or sys.stderr
    level = logging.ERROR if quiet else logging.INFO
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: structlog.types.Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if out.isatty():
        render = structlog.dev.ConsoleRenderer(pad_event_to=24, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Forgiving(out))),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=out, format="%(levelname)s %(name)s %(message)s", force=True)
