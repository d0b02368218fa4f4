"""A vendor's changed frame fails at the door, with the vendor and the column named."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pandas as pd
import pytest

from quant_assets.calendars import Window
from quant_assets.defs.vendor_types import VENDOR_TYPES, check_vendor_frames
from quant_assets.settings import Settings
from quant_assets.sources import sources
from quant_assets.sources.lean_files import LeanFiles

JANUARY = Window(dt.date(2013, 1, 1), dt.date(2013, 2, 1))


@pytest.fixture
def frames() -> dict[str, pd.DataFrame]:
    return {source.name: source.fetch(["AAPL", "MSFT"], JANUARY) for source in sources(Settings(profile="offline"), "prices")}


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


def test_an_impossible_price_is_left_to_the_gate(frames: dict[str, pd.DataFrame]):
    """It must withhold one cell, not stop the step for every name."""
    frames["bokeh"].loc[3, "low"] = -1.0
    check_vendor_frames(frames)
