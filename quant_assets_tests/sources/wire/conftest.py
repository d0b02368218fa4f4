"""A wire in an empty folder whose waits take no time; each transport in turn; and the proof that no key got out."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from quant_assets.sources.wire.wire import Wire
from quant_assets_tests.sources.wire.ways import KEY, WAYS, Get, MovingClock


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def get(request: pytest.FixtureRequest) -> Get:
    return request.param


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest.fixture
def wire(tmp_path: Path, clock: MovingClock) -> Iterator[Wire]:
    wire = Wire(tmp_path, clock=clock)
    yield wire
    wire.store.close()


@pytest.fixture(autouse=True)
def no_key_gets_out(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test here: no log line (at DEBUG) and no byte on disk holds the key. Errors: see `told`."""
    monkeypatch.setenv("ACME_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    yield
    forms = {KEY, quote(KEY, safe=""), quote_plus(KEY)}
    said = "\n".join(f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.get_records("call"))
    assert not [form for form in forms if form in said]
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not [form for form in forms if form.encode() in written]


def told(error: BaseException) -> str:
    """Everything an error would show anywhere: itself, its repr, and all it hangs on, suppressed or not."""
    text = [str(error), repr(error), *traceback.format_exception(error)]
    for linked in (error.__cause__, error.__context__):
        if linked is not None:
            text.append(told(linked))
    return "\n".join(text)
