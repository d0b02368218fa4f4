"""A made-up report on real bars (bokeh-sampledata): every score, figure and simulated price below is invented, and seeded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from bokeh_sampledata import stocks

from quant_assets.backtest.accounts import PORTFOLIO
from quant_assets.backtest.metrics import performance
from quant_assets.backtest.rules import STRATEGIES
from quant_assets.calendars import Window
from quant_assets.lake import coverage
from quant_assets.quality.repair import SHIFTED
from quant_assets.quality.scorecard import score_rows, score_sessions, with_findings
from quant_assets.quality.survivorship import Survivorship
from quant_assets.reporting.inputs import ModelCard, PerformanceRow, ReportInputs
from quant_assets.schemas import TABLES
from quant_assets.settings import Signal
from quant_assets.sources.reconcile import DISAGREE
from quant_assets.validation.record import Record, record
from quant_assets.validation.skill import Skill

AS_OF = dt.date(2013, 3, 1)
BARS = ("AAPL", "IBM", "MSFT", "GOOG", "FB")
ADJUSTED = ("AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO", "LLY", "MRK", "PEP", "PFE", "PG", "RRC", "UNH", "WMT", "XOM")
NO_OPTIONS = "n/a (no option chain in this profile)"
UNSCORED = {"FB": "196 bars up to 2013-03-01, the longest look-back asks for 252; scored once the history is long enough."}


RECORD = Skill(
    n_rows=23_012,
    n_sessions=1_046,
    n_names=22,
    first=dt.date(2009, 1, 2),
    last=dt.date(2013, 2, 26),
    base_rate=0.5264,
    auc=0.5087,
    auc_low=0.4968,
    auc_high=0.5203,
    rank_ic=0.0112,
    rank_ic_low=-0.0021,
    rank_ic_high=0.0241,
    share_above_threshold=0.0098,
    log_loss=0.69241,
    base_log_loss=0.69186,
    by_year=(
        (2009, 0.521, 0.497, 0.546),
        (2010, 0.498, 0.474, 0.523),
        (2011, 0.511, 0.486, 0.537),
        (2012, 0.506, 0.481, 0.530),
        (2013, 0.487, None, None),
    ),
)


NOTHING_DUE = record(
    pl.DataFrame(schema={**dict.fromkeys(("model", "ticker"), pl.String), "session": pl.Date, "label": pl.Int8}).with_columns(
        pl.lit(None, dtype=pl.Float64).alias(name) for name in ("score", "base_rate", "ret")
    ),
    decides="signal-xgboost",
    rivals=(),
    threshold=0.65,
)


def record_of(tickers: list[str]) -> Record:
    """RECORD beside rivals, and an AUC a name; the last name had one outcome only, the one before it too few sessions for an interval."""
    ridge = replace(RECORD, auc=0.5121, auc_low=0.4993, auc_high=0.5250, log_loss=0.69222)
    persistence = replace(RECORD, auc=0.4969, auc_low=0.4851, auc_high=0.5077, rank_ic=None, rank_ic_low=None, rank_ic_high=None)
    rows = [(ticker, 1040, 0.52 - place / 500, 0.48 - place / 500, 0.56 - place / 500) for place, ticker in enumerate(tickers[:-2])]
    rows += [(ticker, *told) for ticker, told in zip(tickers[-2:], [(37, 0.515, None, None), (12, None, None, None)], strict=False)]
    by_ticker = pl.DataFrame(rows, schema=NOTHING_DUE.by_ticker.schema, orient="row")
    rivals = {
        "signal-xgboost": RECORD,
        "baseline-ridge": ridge,
        "baseline-persistence": persistence,
        "majority": replace(RECORD, auc=0.4937),
    }
    return Record(RECORD, rivals, by_ticker)


def sample(bars: tuple[str, ...] = BARS, adjusted: tuple[str, ...] = ADJUSTED) -> ReportInputs:
    """Inputs for names with full bars and names with an adjusted close only."""
    generator = np.random.default_rng(20130301)
    tickers = sorted((*bars, *adjusted))
    closes = {ticker: _bars(ticker) if ticker in bars else _simulated(ticker, generator) for ticker in tickers}
    report = _report(tickers, generator)
    equity = _equity([ticker for ticker in bars if ticker not in UNSCORED], closes)
    return ReportInputs(
        as_of=AS_OF,
        profile="offline",
        bands=Signal(),
        report=report,
        synthesis=_synthesis(report),
        prices=pl.concat([with_overlays(frame) for frame in closes.values()]),
        equity=equity,
        performance=_performance(equity),
        record=record_of(tickers),
        importances=_importances(generator),
        model=ModelCard(
            name="signal-xgboost",
            run_id="5f0c2d6e9a7b4e51b8d3c1f2a4960e77",
            cutoff=dt.date(2013, 1, 1),
            feature_set="a91f4c07d2be",
            base_rate=0.5289,
            best_round=3,
            unproven=RECORD.unproven,
        ),
        scorecard=_scorecard(tickers, bars),
        survivorship=Survivorship(len(tickers), 0, 13.0 * len(tickers)).sentence,
        notes=(
            "VIX: n/a (the packaged series starts in 2014).",
            "Options, implied volatility, news, earnings and the Treasury curve are not available in profile offline.",
            "AAPL is in two sources (bokeh, skfolio): daily returns agree within 0.12 % on 3,269 of 3,270 sessions; bokeh is used.",
            "MSFT is in two sources (bokeh, skfolio): daily returns agree within 0.31 % on 3,270 of 3,270 sessions; bokeh is used.",
            "Splits and dividends of bokeh's names are inferred from changes of adjusted/raw close.",
        ),
    )


def without_trades(inputs: ReportInputs) -> ReportInputs:
    """No rule ever entered: every account stays at its opening cash."""
    cash = pl.lit(10_000.0)
    flat = inputs.equity.with_columns(
        equity=cash, cash=cash, position=pl.lit(0.0), entries=pl.lit(0, dtype=pl.Int64), exits=pl.lit(0, dtype=pl.Int64), costs=pl.lit(0.0)
    )
    return replace(inputs, equity=flat, performance=_performance(flat))


def without_scores(inputs: ReportInputs, reason: str = "196 bars, the longest look-back asks for 252.") -> ReportInputs:
    """The first night of a young universe: no model, no score, no account."""
    absent = [
        pl.lit(None, dtype=inputs.report.schema[name]).alias(name) for name in ("rank", "signal", "score", "base_rate", "ci_low", "ci_high")
    ]
    report = inputs.report.with_columns(
        *absent,
        status=pl.lit("too_little_history"),
        reason=pl.lit(reason),
        verdict=pl.lit("NO_DECISION"),
        confidence=pl.lit("n/a (no score)"),
    )
    return replace(
        inputs, report=report, synthesis=inputs.synthesis.clear(), equity=inputs.equity.clear(), performance=(), record=NOTHING_DUE,
        importances=(), model=None, scorecard=inputs.scorecard.clear(), notes=(),
    )  # fmt: skip


def _scorecard(tickers: Sequence[str], bars: tuple[str, ...]) -> pl.DataFrame:
    """A name with a hole, one with repaired values, two with disagreements, one whose year is in quarantine; DFF is up to date."""
    span = Window(dt.date(2012, 1, 3), AS_OF + dt.timedelta(days=1))
    expected = coverage.every_session(tickers, span)
    hole = (pl.col("key") == tickers[-1]) & pl.col("session").is_between(dt.date(2013, 1, 14), dt.date(2013, 1, 22))
    kept_out = pl.col("key").is_in(tickers[-2:-1]) & (pl.col("session") >= dt.date(2013, 1, 1))
    names = pl.when(pl.col("key").is_in(bars)).then(pl.lit("bokeh")).otherwise(pl.lit("skfolio"))
    rows = expected.filter(~hole & ~kept_out).with_columns(source=names)
    told = [(tickers[0], dt.date(2013, 2, 5), 1.0, 10.0, SHIFTED)]
    told += [(name, dt.date(2013, 2, 20), 0.01, 0.05, DISAGREE) for name in tickers[:2]]
    log = pl.DataFrame(told, schema=["ticker", "session", "original", "repaired", "method"], orient="row")
    held = pl.DataFrame(
        [(name, dt.date(2013, 1, 17)) for name in tickers[-2:-1]], schema={"ticker": pl.String, "session": pl.Date}, orient="row"
    )
    sources = {name: "bokeh" if name in bars else "skfolio" for name in tickers}
    daily = score_sessions("prices", expected, rows, log=log, held=held, first_source=sources)
    none = pl.DataFrame(schema={"ticker": pl.String, "source": pl.String})
    rates = score_rows("macro", pl.DataFrame({"key": ["DFF"] * 9, "source": ["fred"] * 9, "day": [AS_OF] * 9}), held=none)
    nothing = pl.DataFrame(schema=dict.fromkeys(("table", "ticker", "source"), pl.String))
    scored = with_findings(pl.concat([daily, rates]), nothing, nothing)
    return TABLES["quality_scorecard"].conform(scored.with_columns(session=pl.lit(AS_OF), inputs=pl.lit("0" * 16)))


def with_overlays(closes: pl.DataFrame) -> pl.DataFrame:
    close = pl.col("close")
    middle, spread = close.rolling_mean(20), 2 * close.rolling_std(20, ddof=0)
    return closes.with_columns(
        *(close.ewm_mean(span=span, adjust=False, min_samples=span).alias(f"ema_{span}") for span in (9, 21, 200)),
        bollinger_upper=middle + spread,
        bollinger_middle=middle,
        bollinger_lower=middle - spread,
    )


def _bars(ticker: str) -> pl.DataFrame:
    raw = getattr(stocks, ticker)
    return pl.DataFrame(
        {"ticker": ticker, "session": raw["date"], **{name: raw[name] for name in ("open", "high", "low", "close")}, "price_basis": "raw"}
    ).with_columns(pl.col("session").str.to_date())


def _simulated(ticker: str, generator: np.random.Generator) -> pl.DataFrame:
    sessions = [dt.date.fromisoformat(day) for day in stocks.IBM["date"][-400:]]
    path = 40 * np.exp(np.cumsum(generator.normal(0.0003, 0.014, len(sessions))))
    absent = pl.lit(None, dtype=pl.Float64)
    return pl.DataFrame({"ticker": ticker, "session": sessions, "close": path}).select(
        "ticker",
        "session",
        absent.alias("open"),
        absent.alias("high"),
        absent.alias("low"),
        "close",
        pl.lit("adjusted").alias("price_basis"),
    )


def _report(tickers: list[str], generator: np.random.Generator) -> pl.DataFrame:
    bands = Signal()
    rows: list[dict[str, Any]] = []
    for ticker in tickers:
        missing = UNSCORED.get(ticker)
        score = None if missing else float(np.clip(generator.normal(0.527, 0.02), 0.2, 0.9))
        half = float(generator.uniform(0.01, 0.035))
        rows.append(
            {
                "ticker": ticker,
                "session": AS_OF,
                "rank": None,
                "signal": None if score is None else "BULL" if score >= bands.bull else "BEAR" if score <= bands.bear else "NEUTRAL",
                "score": score,
                "base_rate": None if missing else 0.5289,
                "ci_low": None if score is None else score - half,
                "ci_high": None if score is None else score + half * 0.9,
                "iv_risk": NO_OPTIONS,
                "top_option": NO_OPTIONS,
                "verdict": "NO_DECISION" if missing else "WATCH",
                "confidence": "LOW",
                "status": "too_little_history" if missing else "ok",
                "reason": missing,
            }
        )
    frame = pl.DataFrame(rows, schema=TABLES["daily_report"].schema)
    return TABLES["daily_report"].conform(frame.with_columns(rank=pl.col("score").rank("ordinal", descending=True).cast(pl.Int64)))


def _synthesis(report: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "ticker": row["ticker"],
            "session": AS_OF,
            "verdict": row["verdict"],
            "confidence": row["confidence"],
            "thesis": f"{row['ticker']} is scored {row['score']:.3f} against a base rate of {row['base_rate']:.3f}; its interval, "
            f"{row['ci_low']:.3f} to {row['ci_high']:.3f}, is narrow because the model learned little.",
            "risks": ["The model is unproven.", "Half of the pool has no traded prices, so its volume features are null."],
            "writer": "rules",
        }
        for row in report.iter_rows(named=True)
        if row["score"] is not None
    ]
    return TABLES["trade_synthesis"].conform(pl.DataFrame(rows, schema=TABLES["trade_synthesis"].schema))


def _equity(tradable: list[str], closes: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Invented accounts: buy-and-hold follows the close, the others hold one or two sessions in seven; IBM's threshold never."""
    frames = []
    for ticker in tradable:
        bars = closes[ticker].filter(pl.col("session") >= dt.date(2009, 1, 2)).with_row_index("number")
        change = pl.col("close").pct_change().fill_null(0.0).clip(-0.15, 0.15)
        for offset, strategy in enumerate(STRATEGIES):
            idle = strategy == "threshold" and ticker == "IBM"
            held = pl.lit(not idle) if idle or strategy == "buy_and_hold" else pl.col("number") % 7 < 1 + offset
            bought = pl.col("number") == 1 if strategy == "buy_and_hold" else pl.lit(not idle) & (pl.col("number") % 7 == 1)
            wealth = bars.select(
                "session", equity=10_000 * (1 + change * held.cast(pl.Float64)).cum_prod(), entries=bought.cast(pl.Int64).cum_sum()
            )
            frames.append(_account(wealth, strategy, "ticker", ticker, position=0.0 if idle else 1.0))
    for strategy in STRATEGIES if frames else ():
        mine = pl.concat(frames).filter(pl.col("strategy") == strategy)
        wealth = mine.group_by("session").agg(pl.col("equity").mean(), pl.col("entries").sum()).sort("session")
        frames.append(_account(wealth, strategy, "portfolio", PORTFOLIO, position=1.0))
    return TABLES["equity"].conform(pl.concat(frames) if frames else pl.DataFrame(schema=TABLES["equity"].schema))


def _account(wealth: pl.DataFrame, strategy: str, account: str, ticker: str, *, position: float) -> pl.DataFrame:
    """An account that always ends with `position` of its equity in shares."""
    columns = {
        "strategy": pl.lit(strategy),
        "account": pl.lit(account),
        "ticker": pl.lit(ticker),
        "rule": pl.lit(strategy),
        "scores": pl.lit("scores"),
    }
    held = pl.col("equity") * position
    filled = wealth.with_columns(
        **columns, position=held, cash=pl.col("equity") - held, exits=pl.col("entries"), costs=pl.col("entries") * 3.0
    )
    return filled.select(list(TABLES["equity"].schema))


def _performance(equity: pl.DataFrame) -> list[PerformanceRow]:
    no_trades = pl.DataFrame(schema=TABLES["trades"].schema)
    rows = []
    for (strategy, account, ticker), part in equity.group_by("strategy", "account", "ticker", maintain_order=True):
        figures = performance(part, no_trades)
        if strategy != "buy_and_hold" and figures.total_return is not None:
            figures = replace(figures, sentence=None)
        rows.append(PerformanceRow(str(strategy), str(account), str(ticker), figures))
    return rows


def _importances(generator: np.random.Generator) -> tuple[tuple[str, float], ...]:
    names = (
        "realised_volatility_20", "return_5", "distance_ema_200", "rsi_14", "bollinger_position", "sp500_return_5", "beta_60", "adx_14",
        "return_21", "atr_ratio_14", "volume_z_20", "return_252", "gap_overnight", "breadth_ema_21", "rank_return_5",
        "macd_histogram",
    )  # fmt: skip
    weights = np.sort(generator.exponential(1.0, len(names)))[::-1]
    return tuple(zip(names, (weights / weights.sum()).tolist(), strict=True))
