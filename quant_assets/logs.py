"""The rotating log file: timestamp, level, module, run and ticker on every line. What users read on the terminal is `cli.py`'s business."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging.handlers import RotatingFileHandler
from pathlib import Path

from quant_assets.errors import LakeError

FORMAT = "%(asctime)s %(levelname)s %(module)s run=%(run)s ticker=%(ticker)s %(message)s"
MAX_BYTES = 5_000_000
KEPT_FILES = 5

logger = logging.getLogger("quant_assets")
_run: ContextVar[str] = ContextVar("run", default="-")
_ticker: ContextVar[str] = ContextVar("ticker", default="-")


@contextmanager
def log_context(*, run: str, ticker: str) -> Iterator[None]:
    """Lines logged inside carry this run and ticker."""
    tokens = _run.set(run), _ticker.set(ticker)
    try:
        yield
    finally:
        _run.reset(tokens[0])
        _ticker.reset(tokens[1])


def log_to(folder: Path) -> None:
    """Sends the package's log to `folder`/quant_assets.log, five files of 5 MB at most. An unwritable folder raises LakeError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(folder / "quant_assets.log", maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
    except OSError as error:
        raise LakeError(f"{folder} cannot be written ({error.strerror})", remedy="make the folder writable or set paths.logs") from None
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(_with_context)
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _with_context(record: logging.LogRecord) -> bool:
    record.run, record.ticker = _run.get(), _ticker.get()
    return True
