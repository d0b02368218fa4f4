"""A vendor's changed frame fails at the door, with the vendor and the column named."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from quant_assets.calendars import Window, sessions
from quant_assets.defs.vendor_types import VENDOR_TYPES, check_vendor_frames
from quant_assets.settings import Settings
from quant_assets.sources import sources
from quant_assets.sources.lean_files import LeanFiles
from quant_assets.sources.massive_prices import MassivePrices
from quant_assets_tests.natives import put, text
from quant_assets_tests.sources.massive_answers import Massive, made, massive
from quant_assets_tests.sources.wire.ways import At

JANUARY = Window(dt.date(2013, 1, 1), dt.date(2013, 2, 1))


@pytest.fixture
def frames(tmp_path: Path) -> dict[str, pd.DataFrame]:
    days = sessions(JANUARY)
    for ticker in ("AAPL", "MSFT"):
        put(tmp_path / "data" / "native", ticker, text(days, [10.0] * len(days)))
    settings = Settings(profile="offline", home=tmp_path)
    return {source.name: source.fetch(["AAPL", "MSFT"], JANUARY) for source in sources(settings, "prices")}


def test_every_price_source_has_a_type_and_its_frames_pass(frames: dict[str, pd.DataFrame]):
    live = {source.name for source in sources(Settings(profile="live"), "prices")}
    assert set(frames) | live | {LeanFiles.name} == set(VENDOR_TYPES)
    assert all(len(frame) > 20 for frame in frames.values())
    check_vendor_frames(frames)


@pytest.mark.parametrize(("vendor", "column"), [("bokeh", "adj_close"), ("bokeh", "volume"), ("skfolio", "adj_close"), ("skfolio", "date")])
def test_a_renamed_column_is_named(frames: dict[str, pd.DataFrame], vendor: str, column: str):
    frames[vendor] = frames[vendor].rename(columns={column: f"{column}_usd"})
    with pytest.raises(dg.Failure) as failure:
        check_vendor_frames(frames)
    told = failure.value.description or ""
    assert told.startswith(f"{vendor}: ")
    assert column in told
    assert "adapt its source" in told


def test_a_column_of_another_type_is_named(frames: dict[str, pd.DataFrame]):
    frames["bokeh"] = frames["bokeh"].assign(close=frames["bokeh"]["close"].astype(str))
    with pytest.raises(dg.Failure, match=r"bokeh: (?s:.*)close"):
        check_vendor_frames(frames)


def test_massives_frame_passes_with_actions_without_and_without_rows(tmp_path: Path):
    acted = made(("2013-01-02", 10.0), ("2013-01-03", 5.0), splits={dt.date(2013, 1, 3): 2.0}, dividends={dt.date(2013, 1, 2): 0.1})
    bars = Massive({"AAPL": acted, "MSFT": made(("2013-01-02", 10.0), ("2013-01-03", None))})  # a price that is missing is left to the gate
    with massive(tmp_path, At("2013-02-01T18:00"), bars) as (wire, _):
        for names in (["AAPL", "MSFT"], ["MSFT"], ["NONE"], []):
            frame = MassivePrices(wire).fetch(names, JANUARY)
            check_vendor_frames({"massive": frame})
            with pytest.raises(dg.Failure, match=r"massive: (?s:.*)cash_amount"):
                check_vendor_frames({"massive": frame.rename(columns={"cash_amount": "amount"})})


def test_an_impossible_price_is_left_to_the_gate(frames: dict[str, pd.DataFrame]):
    """It must withhold one cell, not stop the step for every name."""
    frames["bokeh"].loc[3, "low"] = -1.0
    check_vendor_frames(frames)
