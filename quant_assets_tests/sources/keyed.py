"""Vendors with a key on loopback: a source asked over a real connection, and the proof that its key got nowhere."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

import polars as pl
import pytest

from quant_assets.calendars import Window
from quant_assets.sources.base import Source
from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.replay import Answers, ReplayServer, replaying
from quant_assets_tests.sources.wire.conftest import told
from quant_assets_tests.sources.wire.ways import KEY, At

ALWAYS = Window(dt.date(2000, 1, 1), dt.date.max)


def key_in(variable: str) -> Callable[..., Iterator[None]]:
    """An autouse fixture that sets the key, and shows after each test that no log line and no byte on disk holds it."""

    @pytest.fixture(autouse=True)
    def no_key_gets_out(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv(variable, KEY)
        caplog.set_level(logging.DEBUG)
        yield
        said = "\n".join(f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.get_records("call"))
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert not [form for form in _forms() if form in said or form.encode() in written]

    return no_key_gets_out


@contextmanager
def asking(folder: Path, answers: Answers, vendor: str, clock: At) -> Iterator[tuple[Wire, ReplayServer]]:
    with replaying(answers) as server:
        wire = Wire(folder, base_urls={vendor: server.url}, clock=clock)
        try:
            yield wire, server
        finally:
            wire.store.close()


def rows(source: Source, clock: At, *tickers: str, window: Window = ALWAYS) -> pl.DataFrame:
    return source.normalise(source.fetch(tickers, window), fetched_at=clock.now())


def says(error: BaseException) -> str:
    """The error's text, after the proof that nothing in or behind it holds the key."""
    everything = told(error)
    assert not [form for form in _forms() if form in everything]
    return str(error)


def _forms() -> set[str]:
    return {KEY, quote(KEY, safe=""), quote_plus(KEY)}
