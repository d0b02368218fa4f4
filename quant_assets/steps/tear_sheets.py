"""What a tear sheet is made of, gathered from the lake: the accounts of the chosen names, an index beside them, bars to draw trades on.

How it looks is `reporting/tear_sheet.py`'s business; booking the accounts, `backtests.py`'s.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from quant_assets.backtest.accounts import PORTFOLIO
from quant_assets.backtest.ratios import SESSIONS_A_YEAR
from quant_assets.backtest.rules import STRATEGIES
from quant_assets.backtest.sleeves import together
from quant_assets.backtest.thresholds import STRATEGY as SWEPT
from quant_assets.backtest.track import Track
from quant_assets.calendars import Window
from quant_assets.errors import LakeError, QuantAssetsError
from quant_assets.features.compute import INDEX_SERIES
from quant_assets.models.terms import MODEL_NAME
from quant_assets.reporting import wording
from quant_assets.reporting.html_page import STRATEGY_NAMES
from quant_assets.reporting.tear_sheet import Market, Strategy, Sweep, TearSheet
from quant_assets.validation.sharpe import Trials
from quant_assets.workspace import Workspace

LISTED_NAMES = 3


def gather(work: Workspace, equity: pl.DataFrame, window: Window, *, names: Sequence[str] | None, notes: Sequence[str]) -> TearSheet:
    """One account by each strategy: over all names, or the own accounts of the chosen names together.

    Parameters
    ----------
    equity : `equity` rows of the window.
    names : the names chosen, each with an account; None: the portfolio account.
    notes : what else the page has to say.

    Raises
    ------
    LakeError : an account that lacks sessions after its first.
    """
    trades = work.lake.scan("trades", window=window).collect()
    kind, keys = ("portfolio", [PORTFOLIO]) if names is None else ("ticker", list(names))
    rows = equity.filter((pl.col("account") == kind) & pl.col("ticker").is_in(keys))
    closed = trades.filter(pl.col("account") == kind)
    closed = closed if names is None else closed.filter(pl.col("ticker").is_in(keys))
    accounts = {key: _together(rows.filter(strategy=key)) for key in STRATEGIES if rows.filter(strategy=key).height}
    market, told = _market(work, window, next(iter(accounts.values())), closed)
    prices = work.lake.scan("prices", keys=sorted({*closed["ticker"], *(names or ())}), window=window).collect()
    sweep = _sweep(work, window) if names is None else None
    trials, uncounted = _trials(work, sweep) if sweep else (None, [])
    return TearSheet(
        subject=_subject(keys),
        account=_account(keys),
        strategies=[
            Strategy(
                key,
                STRATEGY_NAMES[key],
                rows.filter(strategy=key).sort("session")["rule"][-1],
                dataclasses.replace(
                    Track.of(account, closed.filter(strategy=key), market.wealth if market else None),
                    trials=trials if key == SWEPT else None,
                ),
            )
            for key, account in accounts.items()
        ],
        market=market,
        no_market=told or "",
        prices=prices,
        sweep=sweep,
        no_sweep="no other threshold is stored" if names is None else "other thresholds are tried on the account over all names alone",
        notes=[*notes, *_late(rows), *uncounted],
    )


def page_file(work: Workspace, window: Window, names: Sequence[str] | None) -> Path:
    """Where the page of these names and sessions lies: the same call replaces it, another leaves it alone."""
    folder = work.settings.path(work.settings.paths.outputs) / "tear_sheets"
    return folder / f"{_stem(names)}_{window.start}_{window.last_day}.html"


def _stem(names: Sequence[str] | None) -> str:
    if names is None:
        return PORTFOLIO
    if len(names) <= LISTED_NAMES:
        return "_".join(names)
    return f"{len(names)}_names_{hashlib.sha256(','.join(sorted(names)).encode()).hexdigest()[:8]}"


def _subject(keys: Sequence[str]) -> str:
    return ", ".join(keys) if len(keys) <= LISTED_NAMES else wording.count(len(keys), "name")


def _account(keys: Sequence[str]) -> str:
    if list(keys) == [PORTFOLIO]:
        return "one account of $10,000 over all names, costs included"
    return "its own $10,000, costs included" if len(keys) == 1 else "each name's own $10,000, added up, costs included"


def _together(rows: pl.DataFrame) -> pl.DataFrame:
    """The accounts of one strategy as one. One that starts later counts as the cash it will start with until then."""
    sessions = rows.select("session").unique().sort("session")
    accounts = {}
    for (ticker,), own in rows.partition_by("ticker", as_dict=True).items():
        whole = sessions.join(own, on="session", how="left").sort("session").with_columns(pl.all().fill_null(strategy="backward"))
        inside = sessions.filter(pl.col("session") >= own["session"].min())
        if inside.height != own.height:
            first = inside.join(own, on="session", how="anti")["session"].min()
            raise LakeError(
                f"{ticker}: the account lacks {inside.height - own.height} of {inside.height} sessions, the first {first!s}",
                remedy="run `quant-assets run` first",
            )
        accounts[str(ticker)] = whole
    capital = {ticker: own["equity"][0] for ticker, own in accounts.items()}
    return together(accounts, {ticker: start / sum(capital.values()) for ticker, start in capital.items()})


def _late(rows: pl.DataFrame) -> list[str]:
    first = rows.group_by("ticker").agg(pl.col("session").min()).sort("session", "ticker")
    late = first.filter(pl.col("session") > first["session"].min()).rows()
    if not late:
        return []
    told = ", ".join(f"{ticker} {session}" for ticker, session in late[:8]) + (f" and {len(late) - 8} more" if len(late) > 8 else "")
    return [f"Accounts that begin later, with their name's first score, count as $10,000 in cash until then: {told}"]


def _market(work: Workspace, window: Window, account: pl.DataFrame, trades: pl.DataFrame) -> tuple[Market | None, str | None]:
    """The index, or why there is none to compare with."""
    rows = work.lake.scan("index_prices", keys=[INDEX_SERIES], window=window).collect()
    wealth = rows.select("session", wealth="close")
    if wealth.is_empty():
        return None, f"no index to compare with: index_prices holds no {INDEX_SERIES} in {window}"
    try:
        Track.of(account, trades, wealth)
    except QuantAssetsError as error:
        return None, f"no index to compare with: {INDEX_SERIES}: {error}"
    return Market("S&P 500", "the S&P 500 is its price index, without dividends and costs", wealth), None


def _trials(work: Workspace, sweep: Sweep) -> tuple[Trials | None, list[str]]:
    """What was tried before the user's rule: the settings of its model that MLflow knows of, each at the thresholds of the sweep; or why
    they could not be counted.

    Only the thresholds' Sharpe ratios are stored; their variance stands for that of all trials.
    """
    from quant_assets.models.model_listing import n_trials  # MLflow takes two seconds to import
    from quant_assets.steps.models import registry

    try:
        n_settings = n_trials(registry(work).tracking, MODEL_NAME)
    except QuantAssetsError as error:
        return None, [f"The Sharpe ratio is not deflated: {error}"]
    ratios = sweep.rows["sharpe"].drop_nulls().to_numpy() / math.sqrt(SESSIONS_A_YEAR)
    return Trials(max(n_settings, 1) * sweep.rows.height, Trials.of(ratios).variance if ratios.size else 0.0), []


def _sweep(work: Workspace, window: Window) -> Sweep | None:
    """The portfolio account at other thresholds, counted from its first session, by the newest session in the window."""
    rows = work.lake.scan("threshold_sweep", window=window).collect()
    newest = rows.filter(pl.col("session") == pl.col("session").max()).sort("threshold")
    if newest.is_empty():
        return None
    note = f"The account over all names from {newest['first'][0]} to {newest['session'][0]}"
    return Sweep(newest, work.settings.signal.score_threshold, note)
