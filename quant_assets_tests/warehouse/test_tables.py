"""What the tables of a warehouse hold, against the library, the exchange calendar and plain polars; and what they say of themselves."""

from __future__ import annotations

import datetime as dt

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.adjustments import forward_adjusted
from quant_assets.calendars import session_table
from quant_assets.schemas import TABLES
from quant_assets.warehouse import STAGED, open_warehouse
from quant_assets.workspace import Workspace
from quant_assets_tests.warehouse.homes import LATE, YEARS, build, new_home

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
RELATIVE = 1e-9
CANCELLED = 1e-12
"""A return is the difference of two numbers near 1, of which rounding leaves this much."""
KEY = ["ticker", "session"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    work = new_home(tmp_path_factory.mktemp("warehouse"))
    assert build(work, YEARS).success
    return work


@pytest.fixture
def warehouse(built: Workspace) -> duckdb.DuckDBPyConnection:
    return open_warehouse(built.settings)


def close_to(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert_frame_equal(found, expected, rel_tol=RELATIVE, abs_tol=CANCELLED, check_row_order=False)


def expected_returns(work: Workspace) -> pl.DataFrame:
    adjusted = forward_adjusted(work.lake.scan("prices")).sort(KEY).collect()
    days = session_table(work.history).select("session")
    index = work.lake.scan("index_prices", keys=["sp500"]).collect()
    known = [
        index.filter(pl.col("known_at") <= close_at).sort("session").tail(1)["session"].item()
        for close_at in session_table(work.history)["close_at"]
    ]
    asof = days.with_columns(index_session=pl.Series(known)).join(
        index.select("close", index_session="session"), on="index_session", how="left"
    )
    moved = pl.col("index_session") > pl.col("index_session").shift(1)
    asof = asof.select("session", index_return=pl.when(moved).then(pl.col("close") / pl.col("close").shift(1) - 1))
    close = pl.col("adj_close")
    spans = {f"return_{n}": close / close.shift(n).over("ticker") - 1 for n in (1, 5, 20)}
    return (
        adjusted.with_columns(**spans)
        .join(asof, on="session", how="left")
        .select(
            *KEY,
            *spans,
            log_return=(1 + pl.col("return_1")).log(),
            index_return="index_return",
            excess_return=pl.col("return_1") - pl.col("index_return"),
        )
    )


def test_returns_are_those_of_the_library(built: Workspace, warehouse: duckdb.DuckDBPyConnection):
    found = warehouse.sql("FROM returns").pl()
    assert found["return_20"].drop_nulls().len() > 2000
    close_to(found, expected_returns(built))


def test_liquidity_is_what_a_loop_over_its_definition_gives(built: Workspace, warehouse: duckdb.DuckDBPyConnection):
    bars = built.lake.scan("prices").filter(pl.col("price_basis") == "raw", pl.col("volume").is_not_null()).collect()
    moves = expected_returns(built).select(*KEY, move=pl.col("return_1").abs())
    bars = bars.join(moves, on=KEY).sort(KEY)
    rows = []
    for (ticker,), name in bars.group_by("ticker", maintain_order=True):
        traded = [row["close"] * row["volume"] for row in name.iter_rows(named=True)]
        for place, session in enumerate(name["session"]):
            last = range(place - 19, place + 1)
            whole = place >= 19
            ratios = [name["move"][at] / traded[at] if name["move"][at] is not None else None for at in last] if whole else [None]
            rows.append(
                {
                    "ticker": ticker,
                    "session": session,
                    "dollar_volume": traded[place],
                    "dollar_volume_20": sum(traded[at] for at in last) / 20 if whole else None,
                    "amihud_20": 1e6 * sum(ratios) / 20 if None not in ratios else None,
                    "zero_volume_share_20": sum(name["volume"][at] == 0 for at in last) / 20 if whole else None,
                }
            )
    found = warehouse.sql("FROM liquidity").pl()
    assert set(found["ticker"]) == {"AAPL", "FB", "MSFT"}  # of KO only adjusted closes are known
    close_to(found, pl.DataFrame(rows))


@pytest.mark.parametrize("long", ["returns", "liquidity"])
def test_a_wide_table_is_the_long_one_turned(warehouse: duckdb.DuckDBPyConnection, long: str):
    narrow = warehouse.sql(f"FROM {long}").pl().unpivot(index=KEY, variable_name="measure")
    expected = narrow.pivot("ticker", index=["measure", "session"], values="value", sort_columns=True)
    assert_frame_equal(warehouse.sql(f"FROM {long}_wide").pl(), expected, check_row_order=False, check_column_order=False)


def test_the_spine_is_the_exchange_calendar(built: Workspace, warehouse: duckdb.DuckDBPyConnection):
    spine = warehouse.sql("FROM sessions").pl()
    assert_frame_equal(spine.select("session", "close_at"), session_table(built.history))
    assert spine["session_number"].to_list() == list(range(1, spine.height + 1))
    early = set(spine.filter("early_close")["session"])
    assert {dt.date(2011, 11, 25), dt.date(2012, 7, 3), dt.date(2012, 12, 24)} <= early
    assert len(early) < 12
    assert spine.filter(session=dt.date(2012, 7, 3)).select("year", "quarter").row(0) == (2012, 3)


def test_an_index_bar_is_not_seen_before_it_is_public(warehouse: duckdb.DuckDBPyConnection):
    asked = f"SELECT session, index_session, index_return FROM index_asof WHERE series = 'sp500' AND session >= DATE '{LATE}' LIMIT 2"
    (late, seen, change), (after, caught_up, _) = warehouse.sql(asked).fetchall()
    assert (late, seen, change) == (LATE, dt.date(2011, 6, 14), None)
    assert after == caught_up == dt.date(2011, 6, 16)


@pytest.mark.parametrize("table", STAGED)
def test_a_staging_view_shows_the_lake(built: Workspace, warehouse: duckdb.DuckDBPyConnection, table: str):
    """Tables that were never written are empty, with their columns."""
    key = list(TABLES[table].key)
    shown = warehouse.sql(f"FROM stg_{table}").pl()
    assert shown.columns == list(TABLES[table].schema)
    assert_frame_equal(shown.sort(key), built.lake.scan(table).collect().sort(key))


def test_every_table_and_column_is_documented(warehouse: duckdb.DuckDBPyConnection):
    said = "SELECT {0}_name, comment FROM duckdb_{0}s() WHERE database_name = 'warehouse' AND schema_name = 'main' AND NOT internal"
    described = dict(warehouse.sql(said.format("table")).fetchall() + warehouse.sql(said.format("view")).fetchall())
    assert set(described) == {
        *(f"stg_{table}" for table in STAGED),
        *("sessions", "index_asof", "returns", "returns_wide", "liquidity", "liquidity_wide", "built_from"),
        *("macro_asof", "fundamentals_asof", "events_asof"),
    }
    assert all(len(comment.split()) > 5 for comment in described.values())
    columns = warehouse.sql(
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE database_name = 'warehouse' AND schema_name = 'main'"
    ).fetchall()
    assert len(columns) > 150
    assert not [(table, column) for table, column, comment in columns if not comment]
    assert ("liquidity", "dollar_volume_20", "mean of dollar_volume over 20 sessions [USD a session]") in columns


def test_instants_are_shown_in_utc_and_nothing_can_be_written(warehouse: duckdb.DuckDBPyConnection):
    close_at = warehouse.sql("SELECT close_at::VARCHAR FROM sessions WHERE session = DATE '2012-07-03'").fetchall()
    assert close_at == [("2012-07-03 17:00:00+00",)]
    for statement in ("DROP TABLE returns", "CREATE TABLE mine AS SELECT 1", "DELETE FROM liquidity"):
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            warehouse.execute(statement)
