"""Macro features against loops over what had been told by each close, on made-up versions and on FRED's own files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, session_close, session_table, sessions
from quant_assets.features import macro
from quant_assets.features.compute import compute
from quant_assets.quality.lookahead import leaks
from quant_assets.sources.fred import read_last_version
from quant_assets_tests.features.panels import SESSIONS, tables
from quant_assets_tests.features.test_recession import NAME as RECESSION
from quant_assets_tests.features.test_recession import closes
from quant_assets_tests.features.told import macro_rows
from quant_assets_tests.small import FETCHED_AT

D = dt.date
NAMES = tuple(feature.name for feature in macro.FEATURES if feature.name != RECESSION)
Known = dict[str, dict[dt.date, float]]


def known_at(rows: pl.DataFrame, moment: dt.datetime) -> Known:
    """Of each series the value about each day in the last version told by the moment."""
    found: Known = {}
    for series, session, value in (
        rows.filter(pl.col("known_at") <= moment).sort("known_at").select("series", "session", "value").iter_rows()
    ):
        found.setdefault(series, {})[session] = value
    return found


def months_before(month: dt.date, n: int) -> dt.date:
    place = month.year * 12 + month.month - 1 - n
    return D(place // 12, place % 12 + 1, 1)


def by_hand(rows: pl.DataFrame, session: dt.date) -> dict[str, float | None]:
    """Every feature but the probability of a recession."""
    moment = session_close(session)
    now, before = known_at(rows, moment), known_at(rows, moment - dt.timedelta(days=30))

    def last(known: Known, series: str) -> float | None:
        return known[series][max(known[series])] if series in known else None

    def less(one: float | None, other: float | None) -> float | None:
        return None if one is None or other is None else one - other

    both = sorted(set(now.get("DGS10", {})) & set(now.get("DGS2", {})))
    index = now.get("CPIAUCSL", {})
    yearly = {m: 100 * (index[m] / index[months_before(m, 12)] - 1) for m in index if months_before(m, 12) in index}
    change = {m: rate - yearly[months_before(m, 3)] for m, rate in yearly.items() if months_before(m, 3) in yearly}
    inflation = yearly[max(yearly)] if yearly else None
    vix = last(now, "VIXCLS")
    return {
        "vix": vix,
        "vix_regime": None if vix is None else 0.0 if vix < 15 else 1.0 if vix < 25 else 2.0 if vix <= 35 else 3.0,
        "slope_10y_2y": now["DGS10"][both[-1]] - now["DGS2"][both[-1]] if both else None,
        "policy_rate_change_30d": less(last(now, "DFF"), last(before, "DFF")),
        "inflation": inflation,
        "inflation_change_3m": change[max(change)] if change else None,
        "real_rate": less(last(now, "DGS10"), inflation),
        "credit_spread": last(now, "BAA10Y"),
    }


def test_each_is_what_a_loop_over_what_was_told_finds():
    panel = tables()
    out = compute(panel, names=NAMES)
    for place in (0, 1, 17, 21, 33, 64, 150, 151, 301, 420, 599):
        row = out.row(place, named=True)
        for name, expected in by_hand(panel["macro"], row["session"]).items():
            assert row[name] == pytest.approx(expected, rel=1e-9, abs=1e-12), (name, row["session"])


def test_the_loop_covers_every_feature():
    assert {*by_hand(tables()["macro"], SESSIONS[0]), RECESSION} == {feature.name for feature in macro.FEATURES}


def test_on_freds_files(shared: Path):
    """Real values of 2008, each by the lag of its release: the VIX of a day is known the morning after, rates after the next close."""
    series = ("VIXCLS", "DGS10", "DGS2", "CPIAUCSL")
    files = [shared / f"data/macro/fred_date_value/{name}.csv" for name in series]
    rows = pl.concat([read_last_version(file, fetched_at=FETCHED_AT) for file in files])
    out = compute({"prices": closes(D(2008, 10, 27), D(2008, 12, 3)), "macro": rows}, names=NAMES)
    for row in out.iter_rows(named=True):
        for name, expected in by_hand(rows, row["session"]).items():
            assert row[name] == (None if expected is None else pytest.approx(expected, rel=1e-9)), (name, row["session"])
    [crash] = out.filter(session=D(2008, 11, 21)).iter_rows(named=True)
    assert crash["vix"] == 80.86  # the highest close of that year, of the day before
    assert crash["vix_regime"] == 3
    assert crash["inflation"] == pytest.approx(4.9, abs=0.1)  # BLS, of September 2008: 4.9 % over the year, unadjusted
    assert out["policy_rate_change_30d"].null_count() == out["credit_spread"].null_count() == out.height  # no such series told


def versions(series: str, *rows: tuple[dt.date, dt.date, float]) -> pl.DataFrame:
    """Rows of `macro` of one series from (session, published, value)."""
    frame = pl.DataFrame(rows, schema={"session": pl.Date, "published": pl.Date, "value": pl.Float64}, orient="row")
    return macro_rows(frame.with_columns(series=pl.lit(series)))


def test_inflation_is_of_the_versions_known_on_the_day():
    """The base of a year before is revised in February: the rate of December changes with it, and not before."""
    rows = versions(
        "CPIAUCSL",
        (D(2010, 12, 1), D(2011, 1, 14), 200.0),
        (D(2011, 1, 1), D(2011, 2, 17), 202.0),
        (D(2011, 12, 1), D(2012, 1, 19), 206.0),
        (D(2010, 12, 1), D(2012, 2, 10), 201.0),
        (D(2011, 12, 1), D(2012, 2, 10), 207.0),
        (D(2012, 1, 1), D(2012, 2, 17), 208.0),
        (D(2011, 12, 1), D(2012, 2, 24), 299.0),  # of a month that is no longer the last
    )
    out = compute({"prices": closes(D(2012, 1, 17), D(2012, 3, 1)), "macro": rows}, names=("inflation",))
    seen = dict(out.select("session", "inflation").iter_rows())
    # Published at 16:30 here, after the close: from the next session on.
    assert seen[D(2012, 1, 19)] is None
    assert seen[D(2012, 1, 20)] == seen[D(2012, 2, 10)] == pytest.approx(3.0)
    assert seen[D(2012, 2, 13)] == pytest.approx(100 * (207 / 201 - 1))
    assert seen[D(2012, 2, 21)] == seen[D(2012, 2, 29)] == pytest.approx(100 * (208 / 202 - 1))


def test_an_old_day_told_late_does_not_stand_for_the_newest():
    rows = versions(
        "VIXCLS", (D(2012, 1, 4), D(2012, 1, 5), 20.0), (D(2012, 1, 3), D(2012, 1, 6), 90.0), (D(2012, 1, 4), D(2012, 1, 9), 21.0)
    )
    out = compute({"prices": closes(D(2012, 1, 5), D(2012, 1, 12)), "macro": rows}, names=("vix",))
    assert out["vix"].to_list() == [None, 20.0, 20.0, 21.0, 21.0]


def test_a_series_that_has_stopped_says_nothing_of_today():
    rows = pl.concat(
        [
            versions("VIXCLS", (D(2012, 1, 3), D(2012, 1, 4), 20.0)),
            versions("DFF", (D(2012, 1, 3), D(2012, 1, 4), 1.0), (D(2011, 11, 30), D(2011, 12, 1), 0.5)),
            versions("CPIAUCSL", (D(2011, 1, 1), D(2011, 2, 1), 100.0), (D(2012, 1, 1), D(2012, 2, 1), 102.0)),
        ]
    )
    out = compute({"prices": closes(D(2012, 1, 5), D(2012, 12, 1)), "macro": rows}, names=("vix", "policy_rate_change_30d", "inflation"))
    ends = {name: out.drop_nulls(name)["session"].max() for name in ("vix", "policy_rate_change_30d", "inflation")}
    assert ends == {"vix": D(2012, 1, 17), "policy_rate_change_30d": D(2012, 1, 13), "inflation": D(2012, 5, 30)}


@pytest.mark.parametrize(("vix", "regime"), [(14.99, 0), (15.0, 1), (24.99, 1), (25.0, 2), (35.0, 2), (35.01, 3)])
def test_the_boundaries_of_the_regimes(vix: float, regime: int):
    rows = versions("VIXCLS", (D(2012, 1, 3), D(2012, 1, 4), vix))
    assert compute({"prices": closes(D(2012, 1, 5), D(2012, 1, 6)), "macro": rows}, names=("vix_regime",))["vix_regime"].item() == regime


def cuts(rows: pl.DataFrame, n: int) -> list[dt.date]:
    """Sessions of the panel before and after which something monthly is published, and some others."""
    months = rows.filter(pl.col("series").is_in(["CPIAUCSL", "USREC"]))["published"].unique()
    inside = set(months.filter(months.is_between(SESSIONS[30], SESSIONS[-60])).sort().to_list()[:: max(1, len(months) // n)])
    days = [day for day in sessions(Window(SESSIONS[30], SESSIONS[-60])) if day in inside]
    return sorted({*days, SESSIONS[50], SESSIONS[333]})


def with_moments() -> dict[str, pl.DataFrame]:
    """The panel as the lake has it, where each bar says from when on it was known: here from its close on."""
    panel = tables()
    known = session_table(Window(SESSIONS[0], SESSIONS[-1])).rename({"close_at": "known_at"})
    return {"prices": panel["prices"].join(known, on="session"), "macro": panel["macro"]}


def test_no_feature_knows_what_is_published_later():
    told = with_moments()
    found = leaks(lambda given: compute(given, names=[feature.name for feature in macro.FEATURES]), told, cuts(told["macro"], 8))
    assert found.is_empty(), found


def test_a_join_on_the_day_that_a_value_is_about_is_found():
    """The planted mistake: the VIX of the session itself, which is published the day after."""

    def leaking(given: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        vix = given["macro"].filter(series="VIXCLS").select("session", vix_of_the_day="value")
        return compute(given, names=("vix",)).join(vix, on="session", how="left")

    found = leaks(leaking, with_moments(), [SESSIONS[100]])
    assert found["column"].unique().to_list() == ["vix_of_the_day"]
    assert found["session"].unique().to_list() == [SESSIONS[99]]  # the first of two: told half an hour after the close of the cut


def test_without_the_table_all_are_null_and_bars_keep_their_order():
    panel = tables()
    alone = compute({"prices": panel["prices"]}, names=NAMES)
    assert all(alone[name].null_count() == alone.height for name in NAMES)
    assert_frame_equal(compute(panel, names=NAMES).select("ticker", "session"), alone.select("ticker", "session"))
