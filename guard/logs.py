"""
How the guard logs: JSON lines, or a readable console on a terminal.
"""

import logging
import sys
from typing import TextIO

import structlog


def configure_logs(*, stream: TextIO | None = None, quiet: bool = False) -> None:
    """
    Send structlog and the libraries' warnings to *stream* (standard error); *quiet* keeps only errors.
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
        render = structlog.dev.ConsoleRenderer(pad_event_to=24)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=out, format="%(levelname)s %(name)s %(message)s", force=True)
