"""The tear sheet: what strategies did with the same money, as one self-contained interactive page and the journal beside it.

This module says which section shows what, and why one is empty. Series are `tear_sheet_charts.py`'s, tables `tear_sheet_tables.py`'s,
layout and behaviour are in `templates/`; gathering from the lake is `steps/tear_sheets.py`'s business. A strategy of one's own needs no
lake: `write_tear_sheet(TearSheet("Mine", "$10,000", [Strategy("mine", "Mine", "what it does", Track.of(equity, trades))]), path)`.

The page's policy names its scripts by hash and allows no other source, plotly's among them, which the page inflates by itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from quant_assets.backtest import breakdowns
from quant_assets.backtest.compare import compare_varying
from quant_assets.backtest.metrics import left_out, measure
from quant_assets.backtest.monte_carlo import BLOCK_SESSIONS, fan
from quant_assets.backtest.tail_risk import historical_cvar, historical_var
from quant_assets.backtest.track import Track
from quant_assets.errors import QuantAssetsError
from quant_assets.reporting import tear_sheet_charts as charts
from quant_assets.reporting import tear_sheet_tables as tables
from quant_assets.reporting import wording
from quant_assets.reporting.atomic import write_text
from quant_assets.reporting.html_page import TEMPLATES, environment, script_source
from quant_assets.reporting.journal import journal, write_journal
from quant_assets.reporting.packed import packed, packed_plotly, plotly_source
from quant_assets.reporting.tear_sheet_inputs import Market, Strategy, Sweep, TearSheet

__all__ = ["Market", "Strategy", "Sweep", "TearSheet", "render", "write_tear_sheet"]

SEED = 0
"""Of what is drawn at random on the page: the same accounts give the same bytes."""
SIGNIFICANT = 0.05
TOLD_PAIRS = 3
"""In the summary, those least like chance; the table has every one."""
COLOURS = 6
"""Of the series, as `tear_sheet.css` names them; a seventh strategy has that of the first."""
FAN_PATHS = 2_000
"""Enough for a picture: over 1,000 sessions of 1 % a day its bands lie within 4 % of those of 10,000 other paths."""
EARLY = "document.documentElement.classList.add('js')"
MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FAN_LEGEND = (
    f"{FAN_PATHS:,} paths of the account's own daily returns, drawn anew in blocks of {BLOCK_SESSIONS} sessions (circular block bootstrap, "
    "seeded): how much of the curve is the order and the luck of its days. It knows no day that did not happen."
)


def write_tear_sheet(sheet: TearSheet, path: Path | str) -> tuple[Path, Path, Path]:
    """Writes the page to `path` and the journal beside it, each file whole or not at all, the page last; the same sheet, the same bytes.

    The journal has the name of the page, without its suffix where that is .html.

    Returns
    -------
    The page, the journal as CSV and as parquet.

    Raises
    ------
    QuantAssetsError : the folder cannot be written.
    """
    path = Path(path)
    stem = path.with_suffix("") if path.suffix.lower() == ".html" else path
    files = write_journal(journal({strategy.key: strategy.track for strategy in sheet.strategies}), stem)
    write_text(path, render(sheet, journal_files=[file.name for file in files]))
    return path, *files


def render(sheet: TearSheet, *, journal_files: Sequence[str] = ()) -> str:
    """The page as text; `journal_files` lie beside it."""
    columns = _columns(sheet)
    names = charts.candle_names([strategy.track for strategy in sheet.strategies], sheet.prices["ticker"].unique().to_list())
    bars = charts.candles(sheet.prices, sheet.sessions, names)
    pictures = {strategy.key: _pictures(strategy) for strategy in sheet.strategies}
    return (
        environment()
        .get_template("tear_sheet.html.j2")
        .render(
            **_scripts(),
            style=Markup(_template("page.css") + _template("tear_sheet.css")),
            subject=sheet.subject,
            account=sheet.account,
            first=sheet.sessions[0],
            last=sheet.sessions[-1],
            n_sessions=len(sheet.sessions),
            headline=tables.headline(columns),
            measures=tables.measures(columns),
            **_curves(sheet),
            **_comparison(sheet, columns),
            strategies=[_sections(sheet, strategy, pictures[strategy.key]) for strategy in sheet.strategies],
            month_names=MONTH_NAMES,
            fan_legend=FAN_LEGEND,
            has_candles=bool(bars),
            candles_left_out=_left_out(sheet, names, bars),
            costs=tables.costs(columns[: len(sheet.strategies)], {strategy.key: strategy.track for strategy in sheet.strategies}),
            journal_files=journal_files,
            no_sweep=None if sheet.sweep else sheet.no_sweep,
            sweep_note=sheet.sweep.note if sheet.sweep else None,
            sweep=tables.sweep(sheet.sweep.rows) if sheet.sweep else None,
            notes=[*(f"{one.name}: {one.rule}" for one in sheet.strategies), *([] if sheet.market else [sheet.no_market]), *sheet.notes],
            packed_sheet=packed(_data(sheet, bars, pictures)),
            packed_plotly=packed_plotly(),
        )
    )


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _scripts() -> dict[str, Any]:
    scripts = {"early": Markup(EARLY), "page": Markup(_template("packed.js") + _template("tear_sheet.js"))}
    return {"scripts": scripts, "script_sources": " ".join(script_source(script) for script in (*scripts.values(), plotly_source()))}


def _columns(sheet: TearSheet) -> list[tables.Column]:
    """The strategies, then the index."""
    columns = [
        tables.Column(
            strategy.name,
            place % COLOURS,
            measure(strategy.track),
            remark=f"No trades: nothing was bought from {sheet.sessions[0]} to {sheet.sessions[-1]}."
            if strategy.idle
            else left_out(strategy.track) or "",
            idle=strategy.idle,
        )
        for place, strategy in enumerate(sheet.strategies)
    ]
    if sheet.market and sheet.market_track:
        columns.append(tables.Column(sheet.market.name, len(columns) % COLOURS, measure(sheet.market_track), is_index=True))
    return columns


def _curves(sheet: TearSheet) -> dict[str, Any]:
    n_returns = len(sheet.sessions) - 1
    too_short = f"{wording.count(n_returns, 'return')} of the {charts.ROLLING_SESSIONS} that a rolling figure needs"
    no_rolling = too_short if n_returns < charts.ROLLING_SESSIONS else None
    no_market = None if sheet.market else sheet.no_market
    return {
        "no_curve": None if n_returns else "one session has no curve",
        "market_name": sheet.market.name if sheet.market else None,
        "market_note": sheet.market.note if sheet.market else None,
        "no_market": no_market,
        "rolling": charts.ROLLING_SESSIONS,
        "no_rolling": no_rolling,
        "no_beta": no_rolling or no_market,
    }


def _comparison(sheet: TearSheet, columns: Sequence[tables.Column]) -> dict[str, Any]:
    pairs, reason, apart = _pairs(sheet)
    names = {strategy.key: strategy.name for strategy in sheet.strategies}
    return {
        "comparison": tables.comparison(pairs, names, reason),
        "not_compared": "; ".join(f"{names[key]} {why}" for key, why in apart.items()),
        "findings": _findings(sheet, columns, pairs, names),
    }


def _pairs(sheet: TearSheet) -> tuple[pl.DataFrame, str, dict[str, str]]:
    """Differences in Sharpe of every pair that can be compared, or why there are none; and why which strategies are in no pair."""
    none = pl.DataFrame(schema={"a": pl.String})
    if len(sheet.active) < 2:
        return none, f"{'1 strategy' if sheet.active else 'no strategy'} traded, and a comparison takes two", {}
    apart = {one.key: "bought nothing" for one in sheet.strategies if one.idle}
    whole = {one.key: one.track for one in sheet.active if len(one.track.sessions) == len(sheet.sessions)}
    apart |= {one.key: f"was ruined on {one.track.sessions[-1]}" for one in sheet.active if one.key not in whole}
    pairs, reason = none, ""
    if len(whole) > 1:
        try:
            pairs, still = compare_varying({key: track.returns for key, track in whole.items()}, seed=SEED)
            apart |= still
        except QuantAssetsError as error:
            reason = str(error)
    return pairs, reason or "fewer than two strategies can be compared", apart


def _findings(sheet: TearSheet, columns: Sequence[tables.Column], pairs: pl.DataFrame, names: dict[str, str]) -> list[str]:
    """What the figures allow us to say, the result first."""
    told = [f"{column.name} {wording.percent(column.figures['total_return'])}" for column in columns if not column.idle]
    findings = [f"Total return: {', '.join(told)}." if sheet.active else "No strategy bought anything in these sessions."]
    findings += [
        f"{strategy.name} ({strategy.rule}) bought nothing from {sheet.sessions[0]} to {sheet.sessions[-1]}."
        for strategy in sheet.strategies
        if strategy.idle
    ]
    told_pairs = pairs.sort("p_value", maintain_order=True).head(TOLD_PAIRS) if pairs.height else pairs
    for pair in told_pairs.iter_rows(named=True):
        span = f"{wording.signed(pair['difference'], 2)} (95 %: {wording.interval(pair['low'], pair['high'], sign=True, digits=2)})"
        verdict = "is more than chance" if pair["p_holm"] < SIGNIFICANT else "may be chance"
        findings.append(f"{names[pair['a']]} against {names[pair['b']]}: the difference in Sharpe, {span}, {verdict}.")
    if more := pairs.height - told_pairs.height:
        findings.append(f"{wording.count(more, 'more pair')}: see “Do they differ?” below.")
    return findings


@dataclass(frozen=True)
class _Pictures:
    """What of one strategy is either drawn or explained; both None of an idle one, which is explained as a whole."""

    distribution: dict[str, Any] | None = None
    fan: dict[str, Any] | None = None
    no_fan: str | None = None


def _pictures(strategy: Strategy) -> _Pictures:
    if strategy.idle:
        return _Pictures()
    track = strategy.track
    bins = charts.distribution(track.returns)
    if bins:
        tails = {"VaR 95 %": (historical_var(track.returns), "dash"), "CVaR 95 %": (historical_cvar(track.returns), "dot")}
        bins["tails"] = [(f"{name}: {wording.percent(value, 2)}", value, dash) for name, (value, dash) in tails.items()]
    try:
        return _Pictures(bins, charts.fan_chart(fan(track.returns, n_paths=FAN_PATHS, seed=SEED), track.wealth))
    except QuantAssetsError as error:
        return _Pictures(bins, no_fan=str(error))


def _sections(sheet: TearSheet, strategy: Strategy, pictures: _Pictures) -> dict[str, Any]:
    """What the page says of one strategy in words and tables, and why it draws nothing where it does not."""
    track, name = strategy.track, strategy.name
    if strategy.idle:
        reason = f"{name} ({strategy.rule}) bought nothing in these sessions, so there is nothing to show of it"
        empty: dict[str, Any] = dict.fromkeys(("idle", "no_distribution", "no_trades", "no_fan"), reason)
        shown: dict[str, Any] = {"months": [], "tails": "", "breakdowns": []}
    else:
        empty = {
            "idle": None,
            "no_distribution": None if pictures.distribution else "the account never moved",
            "no_trades": None
            if track.trades.height
            else f"{name} closed no trade: what it still holds is in the equity, in no journal row",
            "no_fan": pictures.no_fan,
        }
        shown = {"months": tables.months(track), "tails": _tails(pictures, name), "breakdowns": _breakdowns(sheet, track)}
    more = f"The first {tables.SHOWN_TRADES} of {track.trades.height:,}; the files have all."
    journal_more = more if track.trades.height > tables.SHOWN_TRADES else ""
    return {
        "key": strategy.key,
        "name": name,
        **empty,
        **shown,
        "journal": tables.journal_table(track.trades),
        "journal_more": journal_more,
    }


def _tails(pictures: _Pictures, name: str) -> str:
    if pictures.distribution is None:
        return ""
    n_flat = pictures.distribution["flat"]
    flat = f" {wording.count(n_flat, 'session')} of exactly zero are counted in both lines and not drawn." if n_flat else ""
    return f"Daily returns of {name}. VaR: their 5th percentile; CVaR: the mean of those not above it, flat sessions included.{flat}"


def _breakdowns(sheet: TearSheet, track: Track) -> list[tables.Table]:
    return [
        tables.by_year(track, sheet.market.name if sheet.market else None),
        tables.by_group(breakdowns.by_ticker(track).sort("pnl", descending=True), "By name"),
        tables.by_group(breakdowns.by_side(track), "By side"),
        tables.by_group(breakdowns.by_holding(track), "By sessions held"),
    ]


def _left_out(sheet: TearSheet, names: Sequence[str], bars: dict[str, Any]) -> str:
    told = []
    offered = set(sheet.prices["ticker"].unique())
    more = len(offered - set(names))
    if more:
        told.append(f"The {len(names)} names with the most trades; --tickers draws one of the other {more}.")
    without = sorted(offered & set(names) - set(bars))
    if without:
        told.append(f"Without a bar as traded: {', '.join(without)}.")
    return " ".join(told)


def _data(sheet: TearSheet, bars: dict[str, Any], pictures: dict[str, _Pictures]) -> str:
    """What the charts draw, as JSON."""
    drawn = [(strategy.key, strategy.name, strategy.track) for strategy in sheet.strategies]
    if sheet.market and sheet.market_track:
        drawn.append(("market", sheet.market.name, sheet.market_track))
    data = {
        "sessions": [str(session) for session in sheet.sessions],
        "first": (sheet.active or sheet.strategies)[0].key,
        "lines": [
            {"key": key, "name": name, "place": place % COLOURS, **charts.line_of(track)} for place, (key, name, track) in enumerate(drawn)
        ],
        "of": {
            strategy.key: {
                "place": place % COLOURS,
                "distribution": pictures[strategy.key].distribution,
                "fan": pictures[strategy.key].fan,
                "trades": charts.trade_marks(strategy.track.trades, sheet.sessions, list(bars)),
                **charts.by_close(strategy.track),
            }
            for place, strategy in enumerate(sheet.strategies)
        },
        "candles": bars,
        "sweep": charts.sweep_chart(sheet.sweep.rows, sheet.sweep.current) if sheet.sweep else None,
    }
    return json.dumps(data, separators=(",", ":"), allow_nan=False)
