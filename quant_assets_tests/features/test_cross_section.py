"""Ranks, residuals and figures of a whole session against loops over its names."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import statistics

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window
from quant_assets.errors import BadArgument, QuantAssetsError
from quant_assets.features import across
from quant_assets.features.catalog import ACROSS, CATALOG
from quant_assets.features.cross_section import FEWEST, RANKED, SPAN
from quant_assets_tests.features.panels import SESSIONS

NAMES = [f"N{place:02}" for place in range(9)]
DAYS = SESSIONS[:80]
SECTORS = ("Energy", "Tech", "Tech")
LATE = dt.datetime(2010, 3, 1, 12, tzinfo=dt.UTC)


def values(seed: int = 0) -> pl.DataFrame:
    """Features of nine names over eighty sessions, with holes and ties; one name begins later."""
    rng = np.random.default_rng(seed)
    keys = pl.DataFrame({"ticker": NAMES}).join(pl.DataFrame({"session": DAYS}), how="cross")
    columns = {}
    for name in across.READ:
        drawn = rng.normal(0, 0.02, keys.height).round(2 if name == "rsi_14" else 6)
        columns[name] = pl.Series(np.where(rng.random(keys.height) < 0.03, np.nan, drawn)).fill_nan(None)
    columns["ret_1"] = pl.Series(rng.normal(0, 0.02, keys.height))
    rows = keys.with_columns(**columns)
    return rows.filter((pl.col("ticker") != "N08") | (pl.col("session") >= DAYS[10]))


def info() -> pl.DataFrame:
    """Sectors, told of a third of the names on the first of March only."""
    told = [
        (name, "sector", SECTORS[place % 3], dt.datetime(2009, 1, 1, tzinfo=dt.UTC) if place % 3 else LATE)
        for place, name in enumerate(NAMES)
    ]
    return pl.DataFrame(
        told, schema={"ticker": pl.String, "field": pl.String, "text": pl.String, "known_at": pl.Datetime("us", "UTC")}, orient="row"
    )


TABLES = {"company_info": info()}


def by_day(rows: pl.DataFrame, name: str) -> dict[dt.date, dict[str, float]]:
    return {day: dict(part.select("ticker", name).drop_nulls().iter_rows()) for (day,), part in rows.group_by("session")}


def least_squares(y: dict[str, float], sector: dict[str, str] | None, size: dict[str, float] | None) -> dict[str, float]:
    """Residuals of a regression with a dummy a sector, and size if there is one: spelled out with numpy's solver."""
    names = [name for name in y if (sector is None or name in sector) and (size is None or name in size)]
    if len(names) < FEWEST:
        return {}
    groups = sorted({sector[name] for name in names}) if sector else ["all"]
    columns = [[float(sector is None or sector[name] == group) for name in names] for group in groups]
    if size:
        columns.append([size[name] for name in names])
    x, target = np.array(columns).T, np.array([y[name] for name in names])
    fitted = x @ np.linalg.lstsq(x, target, rcond=None)[0]
    return dict(zip(names, target - fitted, strict=True))


def expected(rows: pl.DataFrame) -> dict[str, dict[tuple[str, dt.date], float]]:
    """Every feature across names, name by name and session by session."""
    found: dict[str, dict[tuple[str, dt.date], float]] = {name: {} for name in ACROSS}

    def put(feature: str, day: dt.date, told: dict[str, float]) -> None:
        found[feature] |= {(name, day): value for name, value in told.items()}

    per_day = {name: by_day(rows, name) for name in across.READ}
    present = {day: sorted(part["ticker"]) for (day,), part in rows.group_by("session")}
    for day in DAYS:
        for name in RANKED:
            there = per_day[name][day]
            if len(there) >= FEWEST:
                ranks = {
                    one: sum(other < value for other in there.values()) + (sum(other == value for other in there.values()) - 1) / 2
                    for one, value in there.items()
                }
                put(f"rank_{name}", day, {one: place / (len(there) - 1) for one, place in ranks.items()})
        sector = {
            name: SECTORS[place % 3]
            for place, name in enumerate(NAMES)
            if place % 3 or dt.datetime.combine(day, dt.time(20), dt.UTC) >= LATE
        }
        size = per_day["log_market_cap"][day]
        for name in ("ret_5", "ret_20"):
            y = per_day[name][day]
            put(f"{name}_sector_neutral", day, least_squares(y, sector, None))
            put(f"{name}_size_neutral", day, least_squares(y, None, size))
            put(f"{name}_sector_size_neutral", day, least_squares(y, sector, size))
        put("relative_strength_20", day, least_squares(per_day["ret_20"][day], None, None))
        for n in (1, 20):
            there = per_day[f"ret_{n}"][day]
            put(f"dispersion_{n}", day, dict.fromkeys(present[day], statistics.stdev(there.values())))
        above = per_day["sma_50_distance"][day].values()
        put("breadth_50", day, dict.fromkeys(present[day], statistics.fmean(value > 0 for value in above)))
        moves = per_day["ret_1"][day].values()
        put("advance_decline", day, dict.fromkeys(present[day], statistics.fmean((value > 0) - (value < 0) for value in moves)))
        place = DAYS.index(day)
        if place >= SPAN - 1:
            window = [per_day["ret_1"][one] for one in DAYS[place - SPAN + 1 : place + 1]]
            whole = [name for name in present[day] if all(name in told for told in window)]
            pairs = [
                statistics.correlation([told[one] for told in window], [told[other] for told in window])
                for one, other in itertools.combinations(whole, 2)
            ]
            put(f"pairwise_correlation_{SPAN}", day, dict.fromkeys(present[day], statistics.fmean(pairs)))
    return found


def test_every_feature_across_names_against_loops():
    rows = values()
    out = across.compute(rows, TABLES)
    for name, wanted in expected(rows).items():
        found = {(ticker, day): value for ticker, day, value in out.select("ticker", "session", name).drop_nulls().iter_rows()}
        assert found.keys() == wanted.keys(), name
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12), name
        assert wanted, name


def test_only_eligible_names_are_ranked_and_their_past_counts():
    """Two names leave and one enters; who is not in is not ranked, and moves nobody's rank."""
    rows = values()
    spans = pl.DataFrame(
        [(name, DAYS[0], DAYS[69] if name in ("N00", "N01") else None) for name in NAMES if name != "N02"] + [("N02", DAYS[65], None)],
        schema={"key": pl.String, "start": pl.Date, "end": pl.Date},
        orient="row",
    )
    out = across.compute(rows, TABLES, spans)
    assert out.select("ticker", "session").equals(rows.select("ticker", "session").sort("ticker", "session"))
    last = pl.col("session") == DAYS[75]
    apart = across.compute(rows.filter(~pl.col("ticker").is_in(["N00", "N01"])), TABLES)
    ranked = out.filter(last, ~pl.col("ticker").is_in(["N00", "N01"]))
    assert_frame_equal(ranked, apart.filter(last), rel_tol=1e-9)
    assert out.filter(last, pl.col("ticker").is_in(["N00", "N01"])).select(list(ACROSS)).null_count().row(0) == (2,) * len(ACROSS)


def test_the_future_and_other_sessions_change_nothing():
    rows = values()
    past = pl.col("session") <= DAYS[70]
    other = pl.concat([rows.filter(past), values(seed=1).filter(~past)])
    assert_frame_equal(across.compute(other, TABLES).filter(past), across.compute(rows, TABLES).filter(past), check_exact=True)


def test_a_window_equals_its_part_of_the_whole():
    rows = values()
    window = Window(DAYS[72], DAYS[75])
    inside = pl.col("session").is_between(window.start, window.end, closed="left")
    near = rows.filter(pl.col("session") >= DAYS[72 - across.LOOKBACK])
    assert_frame_equal(across.compute(near, TABLES, window=window), across.compute(rows, TABLES).filter(inside), rel_tol=1e-9)


def test_few_names_and_unknown_sectors_are_null():
    rows = values().filter(pl.col("ticker").is_in(NAMES[: FEWEST - 1]))
    out = across.compute(rows, {})
    nulls = out.select(list(ACROSS)).null_count().row(0)
    assert set(nulls) == {out.height}


def test_what_is_not_across_names_is_refused():
    with pytest.raises(BadArgument, match=r"ret_1 is not read across names; use compute\.compute"):
        across.compute(values(), TABLES, names=("ret_1",))


def test_an_expression_that_fails_is_named(monkeypatch: pytest.MonkeyPatch):
    wrong = dataclasses.replace(ACROSS["rank_ret_5"], name="wrong", expression=pl.col("ret_5").str.len_chars())
    monkeypatch.setitem(CATALOG, "wrong", wrong)
    monkeypatch.setitem(ACROSS, "wrong", wrong)
    with pytest.raises(QuantAssetsError, match="feature wrong of family cross_section cannot be computed: SchemaError"):
        across.compute(values(), {}, names=["rank_ret_5", "wrong"])
