"""Ten planted leaks are found, their honest twins are not, and neither is any feature of the catalogue."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from quant_assets.calendars import session_table
from quant_assets.errors import BadArgument
from quant_assets.features.catalog import OF_BARS
from quant_assets.features.compute import compute
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets.quality.lookahead import informative_cuts, leaks
from quant_assets.quality.withheld import Tables, known, other_futures, withheld
from quant_assets.settings import Settings
from quant_assets.sources import sources
from quant_assets_tests.quality.leaky import HORIZON, PAIRS, YEAR, real_tables, sample_prices
from quant_assets_tests.small import FETCHED_AT
from quant_assets_tests.sources.sec_answers import recorded_companies
from quant_assets_tests.sources.test_sec_facts import delivered

D = dt.date


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> dict[str, pl.DataFrame]:
    filed = delivered(tmp_path_factory.mktemp("sec"), recorded_companies(shared), "AAPL", window=YEAR)
    [indices] = sources(Settings(profile="offline"), "index_prices")
    index = indices.normalise(indices.fetch(["sp500"], YEAR), fetched_at=FETCHED_AT)
    return real_tables(sample_prices(shared), index, filed)


@pytest.fixture(scope="module")
def cuts(tables: dict[str, pl.DataFrame]) -> list[dt.date]:
    return informative_cuts(tables, YEAR, n=2, seed=5)


@pytest.mark.parametrize("name", PAIRS)
def test_a_planted_leak_is_found_and_named(tables: dict[str, pl.DataFrame], cuts: list[dt.date], name: str):
    leaky, _ = PAIRS[name]
    found = leaks(leaky, tables, cuts)
    assert found.height
    assert set(found["column"]) == {"value"}
    first = found.row(0, named=True)
    assert first["key"] in {"AAPL", "BRK_A", "MSFT", "ZEN"}
    assert first["session"] <= first["cut"]
    assert first["full"] != first["seen"]


@pytest.mark.parametrize("name", PAIRS)
def test_its_honest_twin_is_not(tables: dict[str, pl.DataFrame], cuts: list[dt.date], name: str):
    _, honest = PAIRS[name]
    assert honest(tables)["value"].drop_nulls().len()
    assert leaks(honest, tables, cuts).is_empty()


def features(tables: Tables) -> pl.DataFrame:
    return compute(tables)


def labels(tables: Tables) -> pl.DataFrame:
    calendar = session_table(YEAR.__class__(YEAR.start, D(2015, 2, 1)))
    return forward_return_labels(tables["prices"].lazy(), calendar, horizon=HORIZON, as_of=tables["prices"]["session"].max())  # type: ignore[arg-type]


def test_no_feature_of_the_catalogue_and_no_label_looks_ahead(tables: dict[str, pl.DataFrame], cuts: list[dt.date]):
    assert set(features(tables).columns) == {"ticker", "session", *OF_BARS}
    assert leaks(features, tables, cuts).is_empty()
    assert leaks(labels, tables, cuts, output="labels").is_empty()


def test_a_label_told_before_its_end_is_found(tables: dict[str, pl.DataFrame], cuts: list[dt.date]):
    def early(tables: Tables) -> pl.DataFrame:
        """The session with the last known close stands in for label_end."""
        return labels(tables).with_columns(label=pl.col("label").fill_null(1))

    found = leaks(early, tables, cuts, output="labels")
    assert {"label"} == set(found["column"])


def test_one_leak_among_many_columns_is_named_alone(tables: dict[str, pl.DataFrame], cuts: list[dt.date]):
    def planted(tables: Tables) -> pl.DataFrame:
        rows = features(tables)
        return rows.with_columns(rsi_14=pl.col("rsi_14").shift(-1).over("ticker"))

    assert set(leaks(planted, tables, cuts)["column"]) == {"rsi_14"}


def test_only_what_was_public_is_left_at_a_cut(tables: dict[str, pl.DataFrame]):
    cut = D(2014, 6, 6)
    seen = withheld(tables, cut)
    assert seen["prices"]["session"].max() == cut
    told = seen["macro"].sort("session", "known_at")["value"].to_list()
    assert told == [17102.5, 17080.7, 17089.6, 17149.6, 17101.3]
    assert known("macro", tables["macro"], D(2014, 2, 3))["value"].to_list() == [17102.5]
    waiting = seen["labels"].filter(pl.col("label_end") > cut)
    assert waiting.height
    assert waiting.select("label", "ret").null_count().row(0) == (waiting.height, waiting.height)
    assert seen["labels"].filter(pl.col("label_end") <= cut)["ret"].null_count() == 0


def test_another_future_leaves_the_past_and_changes_the_rest(tables: dict[str, pl.DataFrame]):
    cut = D(2014, 6, 6)
    past = withheld(tables, cut)
    for _, other in other_futures(tables, cut, seed=1):
        for name, rows in withheld(other, cut).items():
            assert rows.equals(past[name])
        assert other["prices"].height == tables["prices"].height
        ahead = pl.col("session") > cut
        assert (other["prices"].filter(ahead)["close"] != tables["prices"].filter(ahead)["close"]).mean() > 0.9


def test_cuts_stand_before_what_a_leak_would_show(tables: dict[str, pl.DataFrame]):
    cuts = informative_cuts({"prices": tables["prices"]}, YEAR, n=100, seed=0)
    assert {D(2014, 6, 6), D(2014, 5, 14)} <= set(cuts)  # before Apple's split, before Zendesk's first day
    assert informative_cuts(tables, YEAR, n=3, seed=1) == informative_cuts(tables, YEAR, n=3, seed=1)


def test_what_cannot_be_tried_is_refused(tables: dict[str, pl.DataFrame]):
    with pytest.raises(BadArgument, match="no session to cut at"):
        leaks(features, tables, [])
    with pytest.raises(BadArgument, match="'bars' is not a table of the lake"):
        leaks(features, {"bars": tables["prices"]}, [D(2014, 6, 6)])
