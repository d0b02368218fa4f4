"""A vendor's changed frame fails at the door, with the vendor and the column named."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from quant_assets.calendars import Window, sessions
from quant_assets.defs.vendor_types import COLUMNS, VENDOR_TYPES, check_vendor_frame, check_vendor_frames
from quant_assets.settings import Settings, Vendor
from quant_assets.sources import every_source, sources
from quant_assets.sources.arch_indices import ArchIndices
from quant_assets.sources.base import Source
from quant_assets.sources.lean_files import LeanFiles
from quant_assets.sources.massive_prices import MassivePrices
from quant_assets.sources.vendor_rows import raw_frame
from quant_assets.sources.wire import wire
from quant_assets_tests.natives import put, text
from quant_assets_tests.night.test_every_vendor import KEYS, finnhub, servers
from quant_assets_tests.replay import Asked, Reply, replaying
from quant_assets_tests.sources import finnhub_answers
from quant_assets_tests.sources.massive_answers import Massive, contract, made, massive
from quant_assets_tests.sources.wire.ways import At

JANUARY = Window(dt.date(2013, 1, 1), dt.date(2013, 2, 1))
AUTUMN = Window(dt.date(2012, 9, 1), dt.date(2012, 12, 31))
EVENING = "2012-12-14T17:30"


@pytest.fixture
def frames(tmp_path: Path) -> dict[str, pd.DataFrame]:
    days = sessions(JANUARY)
    for ticker in ("AAPL", "MSFT"):
        put(tmp_path / "data" / "native", ticker, text(days, [10.0] * len(days)))
    settings = Settings(profile="offline", home=tmp_path)
    return {source.name: source.fetch(["AAPL", "MSFT"], JANUARY) for source in sources(settings, "prices")}


def test_every_price_source_has_a_type_and_its_frames_pass(frames: dict[str, pd.DataFrame]):
    live = {source.name for source in sources(Settings(profile="live"), "prices")}
    assert set(frames) | live | {LeanFiles.name} == set(COLUMNS["prices"])
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


def test_every_source_of_both_profiles_has_a_type_and_no_type_is_without_a_source():
    found = [source for profile in ("offline", "live") for source in every_source(Settings(profile=profile))]
    assert {(source.table, source.name) for source in found} | {("prices", LeanFiles.name)} == set(VENDOR_TYPES)


def test_a_source_without_a_type_is_told_what_to_do():
    new = ArchIndices()
    new.name = "new_vendor"
    with pytest.raises(dg.Failure, match="new_vendor: no columns are declared for its index_prices"):
        check_vendor_frame(new, pd.DataFrame())


@dataclass(frozen=True)
class Fetched:
    """What each source of profile live gave about AAPL, on loopback, and gives of a window without anything."""

    source: Source
    frame: pd.DataFrame
    nothing: pd.DataFrame


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[dict[tuple[str, str], Fetched]]:
    answers = {**servers(shared), "finnhub": with_an_announcement}
    answers["massive"].chains = {"AAPL": [contract(shared)]}
    with ExitStack() as opened, pytest.MonkeyPatch.context() as patch:
        running = {name: opened.enter_context(replaying(each)) for name, each in answers.items()}
        for variable, key in KEYS.items():
            patch.setenv(variable, key)
        patch.setattr(wire, "Wire", partial(wire.Wire, clock=At(EVENING)))
        vendors = {name: Vendor(base_url=server.url) for name, server in running.items()}
        vendors["sec"] = Vendor(base_url=running["sec"].url, contact="quant@example.com")
        live = Settings(profile="live", home=tmp_path_factory.mktemp("live"), sources=vendors)
        yield {(source.table, source.name): of(source) for source in every_source(live) if source.policy}


def with_an_announcement(asked: Asked) -> Reply:
    if finnhub_answers.endpoint(asked) == finnhub_answers.CALENDAR:
        return finnhub_answers.calendar(finnhub_answers.announcement("2012-12-20"))
    return finnhub(asked)


def of(source: Source) -> Fetched:
    keys = sorted(source.offers(["AAPL"])) or sorted(source.offers())
    nothing = Window(dt.date(1980, 1, 1), dt.date(1980, 2, 1))
    empty = source.fetch(keys, nothing) if source.table not in ("prices", "index_prices") else source.fetch(keys, AUTUMN).head(0)
    return Fetched(source, source.fetch(keys, AUTUMN), empty)


ANYTHING = {("company_info", "yahoo"): {"value"}, ("insider_transactions", "finnhub"): {"id"}}
"""Columns that are not read by their type."""
LIVE = sorted({(table, vendor) for table, vendor in VENDOR_TYPES if vendor not in ("arch", "bokeh", "kaggle", "lean", "skfolio")})


@pytest.mark.parametrize("key", LIVE, ids="-".join)
def test_what_a_vendor_delivers_passes_with_and_without_rows(fetched: dict[tuple[str, str], Fetched], key: tuple[str, str]):
    told = fetched[key]
    assert len(told.frame)
    check_vendor_frame(told.source, told.frame)
    assert told.nothing.empty or told.source.table in ("macro", "articles")  # which give more than was asked for
    check_vendor_frame(told.source, told.nothing)


@pytest.mark.parametrize("key", LIVE, ids="-".join)
def test_any_column_that_is_renamed_is_named(fetched: dict[tuple[str, str], Fetched], key: tuple[str, str]):
    told = fetched[key]
    for column in told.frame.columns:
        with pytest.raises(dg.Failure) as failure:
            check_vendor_frame(told.source, told.frame.rename(columns={column: "renamed"}))
        assert f"{told.source.name}: Required column {column} not in dataframe" in (failure.value.description or "")
        assert "renamed" in (failure.value.description or "")


@pytest.mark.parametrize("key", LIVE, ids="-".join)
def test_any_column_of_another_type_is_named(fetched: dict[tuple[str, str], Fetched], key: tuple[str, str]):
    told = fetched[key]
    for column in set(told.frame.columns) - ANYTHING.get(key, set()):
        changed = told.frame.assign(**{column: pd.Series([{"nested": 1}] * len(told.frame), dtype=object)})
        with pytest.raises(dg.Failure, match=rf'(?s){told.source.name}: .*"{column}"'):
            check_vendor_frame(told.source, changed)


def test_a_column_is_added_by_its_source_and_not_by_its_type(fetched: dict[tuple[str, str], Fetched]):
    told = fetched["macro", "fred"]
    with pytest.raises(dg.Failure, match="more"):
        check_vendor_frame(told.source, told.frame.assign(more=1))


def test_one_odd_value_is_left_to_the_source_and_nothing_else_than_odd_ones_are_not(fetched: dict[tuple[str, str], Fetched]):
    told = fetched["articles", "news_api"]
    odd = told.frame.assign(publishedAt=[7])
    check_vendor_frame(told.source, pd.concat([told.frame, odd], ignore_index=True))
    with pytest.raises(dg.Failure, match=r'news_api: .*"publishedAt".*must be of type str; it holds int'):
        check_vendor_frame(told.source, odd)


def test_a_column_that_always_holds_something_holds_nothing(fetched: dict[tuple[str, str], Fetched]):
    told = fetched["fundamentals", "sec"]
    check_vendor_frame(told.source, told.frame.assign(start=None))
    with pytest.raises(dg.Failure, match=r'sec: .*"accn".*it holds no value'):
        check_vendor_frame(told.source, told.frame.assign(accn=None))


def test_a_field_that_no_record_has_is_no_column_of_nulls():
    assert list(raw_frame([{"ticker": "AAPL", "eps": 1.0}, {"ticker": "MSFT"}], ("eps", "hour")).columns) == ["ticker", "eps"]
    assert list(raw_frame([], ("eps", "hour")).columns) == ["ticker", "eps", "hour"]
