"""Every table of the lake, declared once: columns, dtypes, units, keys, and which column is event time and which knowledge time.

I/O, checks and docs read this registry. Feature columns come from `features/catalog.py`; how tables are stored is
`lake/store.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from quant_assets.errors import SchemaMismatch
from quant_assets.features.catalog import CATALOG

UTC = pl.Datetime("us", "UTC")
Dtype = DataType | DataTypeClass
Grid = Literal["history", "year", "training", "quarter", "decision", "session", "log"]


@dataclass(frozen=True)
class Column:
    name: str
    dtype: Dtype
    unit: str
    meaning: str
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    Parameters
    ----------
    grid : the partition grid its asset lives on; "log" tables are written beside an asset and have none.
    key : columns that identify a row.
    event_time : the Date column that says when it happened; files are cut by its year.
    known_time : the column that says when the row could be known; None: at the close of `event_time`.
    """

    name: str
    grid: Grid
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    event_time: str = "session"
    known_time: str | None = None

    @property
    def schema(self) -> dict[str, Dtype]:
        return {column.name: column.dtype for column in self.columns}

    @property
    def entity(self) -> str | None:
        """The key column that names a ticker or a series, if the table has one."""
        return next((name for name in ("ticker", "series") if name in self.key), None)

    @property
    def sort_order(self) -> list[str]:
        """Entity first, then event time, then the rest of the key."""
        first = [name for name in (self.entity, self.event_time) if name]
        return first + [name for name in self.key if name not in first]

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with this table's columns, in order.

        Raises
        ------
        SchemaMismatch : a column is missing, unknown or of another type, a required value is null, a key repeats.
        """
        remedy = f"see quant_assets.schemas.TABLES[{self.name!r}]"
        missing, unknown = set(self.schema) - set(frame.columns), set(frame.columns) - set(self.schema)
        if missing or unknown:
            raise SchemaMismatch(f"{self.name}: columns missing {sorted(missing)}, unknown {sorted(unknown)}", remedy=remedy)
        frame = frame.select(list(self.schema))
        for column in self.columns:
            if frame.schema[column.name] != column.dtype:
                found = frame.schema[column.name]
                raise SchemaMismatch(f"{self.name}.{column.name}: {found} where {column.dtype} is declared", remedy=remedy)
            if not column.nullable and frame[column.name].null_count():
                holes = frame[column.name].null_count()
                raise SchemaMismatch(f"{self.name}.{column.name}: {holes} nulls where none is allowed", remedy=remedy)
        repeated = frame.select(self.key).is_duplicated()
        if repeated.any():
            example = frame.filter(repeated).select(self.key).row(0)
            raise SchemaMismatch(f"{self.name}: key {example} occurs more than once", remedy=remedy)
        return frame


TICKER = Column("ticker", pl.String, "-", "exchange symbol, upper case", nullable=False)
SESSION = Column("session", pl.Date, "exchange date", "the session the row belongs to", nullable=False)
PROVENANCE = (
    Column("source", pl.String, "-", "the source that won the row", nullable=False),
    Column("fetched_at", UTC, "UTC", "when it was fetched", nullable=False),
    Column("known_at", UTC, "UTC", "the moment the fact was public; for a daily bar the close of its session", nullable=False),
)
CUTOFF = Column("cutoff", pl.Date, "date", "first day the model did not learn from; its quarter begins here", nullable=False)
RUN = Column("model_run_id", pl.String, "-", "MLflow run that trained the model", nullable=False)
STRATEGY = (
    Column("strategy", pl.String, "-", "threshold, top_fifth or buy_and_hold", nullable=False),
    Column("account", pl.String, "-", "ticker: $10,000 for each name; portfolio: one $10,000 over all", nullable=False),
)


def usd(name: str, meaning: str, *, nullable: bool = True) -> Column:
    return Column(name, pl.Float64, "USD", meaning, nullable)


_TABLES = (
    Table(
        "prices",
        "history",
        "Daily bars as traded: raw prices and the corporate actions that adjust them.",
        ("ticker", "session"),
        (
            TICKER,
            SESSION,
            usd("open", "raw opening price; null where the source has none"),
            usd("high", "raw high; null where the source has none"),
            usd("low", "raw low; null where the source has none"),
            usd("close", "raw close, or the vendor's adjusted close where price_basis says so", nullable=False),
            Column("volume", pl.Float64, "shares", "raw shares traded; null where the source has none"),
            Column(
                "price_basis", pl.String, "-", "raw: as traded; adjusted: level shifted by later actions, only returns mean anything", False
            ),
            Column("split_factor", pl.Float64, "shares per old share", "takes effect at this session's open; 1 without a split", False),
            Column("dividend", pl.Float64, "USD per share", "ex-dividend at this session's open; 0 without one", False),
            Column("inferred", pl.Boolean, "-", "the corporate action was inferred from changes of adjusted/raw close", False),
            *PROVENANCE,
        ),
        known_time="known_at",
    ),
    Table(
        "index_prices",
        "year",
        "Daily bars of market indices.",
        ("series", "session"),
        (
            Column("series", pl.String, "-", "index name: sp500, nasdaq", nullable=False),
            SESSION,
            usd("open", "index points at the open"),
            usd("high", "index points"),
            usd("low", "index points"),
            usd("close", "index points at the close", nullable=False),
            Column("volume", pl.Float64, "shares", "shares traded in the index's members"),
            *PROVENANCE,
        ),
        known_time="known_at",
    ),
    Table(
        "macro",
        "year",
        "Macroeconomic series: every version of every value, with the moment it became public.",
        ("series", "session", "known_at"),
        (
            Column("series", pl.String, "-", "FRED's name of the series", nullable=False),
            Column("session", pl.Date, "date", "the day the value is about; of a month or quarter its first day", nullable=False),
            # Files are cut by it: a year that is over never changes, and a revision of an old value comes with the year that brought it.
            Column("published", pl.Date, "date", "the day this version became public, in New York", nullable=False),
            Column("value", pl.Float64, "as the series", "as published then", nullable=False),
            *PROVENANCE,
        ),
        event_time="published",
        known_time="known_at",
    ),
    Table(
        "fundamentals",
        "history",
        "What companies reported, every figure as it was filed: a restated one is a further row.",
        ("ticker", "taxonomy", "concept", "unit", "period_start", "period_end", "accession"),
        (
            TICKER,
            Column("taxonomy", pl.String, "-", "us-gaap, dei, srt, ifrs-full", nullable=False),
            Column("concept", pl.String, "-", "XBRL concept inside the taxonomy", nullable=False),
            Column("unit", pl.String, "-", "USD, shares, USD/shares, pure", nullable=False),
            Column("period_start", pl.Date, "date", "first day of the period; null: the figure is of one instant, the end of period_end"),
            Column("period_end", pl.Date, "date", "last day of the period", nullable=False),
            Column("value", pl.Float64, "as unit", "as filed", nullable=False),
            Column("accession", pl.String, "-", "the SEC's number of the filing", nullable=False),
            Column("form", pl.String, "-", "10-K, 10-Q, 8-K, with /A an amendment", nullable=False),
            Column("fiscal_year", pl.Int64, "year", "fiscal year of the filing, not of the period"),
            Column("fiscal_period", pl.String, "-", "FY, Q1, Q2 or Q3 of the filing, not of the period"),
            Column("filed", pl.Date, "date", "the filing date", nullable=False),
            *PROVENANCE,
        ),
        event_time="filed",
        known_time="known_at",
    ),
    Table(
        "features",
        "history",
        "What is known about a name at the close of a session; one column a feature of the catalogue.",
        ("ticker", "session"),
        (TICKER, SESSION, *(Column(f.name, pl.Float64, f.unit, f.meaning) for f in CATALOG.values())),
    ),
    Table(
        "labels",
        "history",
        "What happened next: null until label_end, constant from then on.",
        ("ticker", "session"),
        (
            TICKER,
            SESSION,
            Column("label", pl.Int8, "0 or 1", "1 when the total return from this close to the close of label_end is positive"),
            Column("ret", pl.Float64, "fraction", "that total return (splits and dividends included)"),
            Column("label_start", pl.Date, "exchange date", "the session at whose close the span begins", nullable=False),
            Column("label_end", pl.Date, "exchange date", "the session at whose close the label becomes known", nullable=False),
        ),
        known_time="label_end",
    ),
    Table(
        "model_runs",
        "quarter",
        "One row a trained cut-off: what it learned from and how it did on its own validation slice.",
        ("model", "cutoff"),
        (
            Column("model", pl.String, "-", "registered model name", nullable=False),
            CUTOFF,
            RUN,
            Column("feature_set", pl.String, "-", "hash of the ordered feature list and versions", nullable=False),
            Column("lake_version", pl.String, "-", "hash of the rows it was trained on", nullable=False),
            Column("train_start", pl.Date, "exchange date", "first training session", nullable=False),
            Column("train_end", pl.Date, "exchange date", "last training session; its label ended before cutoff minus embargo", False),
            Column("n_rows", pl.Int64, "rows", "training rows, validation slice included", nullable=False),
            Column("n_tickers", pl.Int64, "names", "names in the pool", nullable=False),
            Column("base_rate", pl.Float64, "fraction", "frequency of label 1 in the training span", nullable=False),
            Column("best_round", pl.Int64, "trees", "boosting rounds kept by early stopping", nullable=False),
            Column("validation_auc", pl.Float64, "-", "ROC AUC on the most recent purged slice (chose best_round: optimistic)"),
            Column("validation_log_loss", pl.Float64, "nats", "log-loss on that slice"),
            Column("members", pl.Int64, "models", "block-bootstrap members kept for score intervals; 0 for past cut-offs", nullable=False),
        ),
        event_time="cutoff",
    ),
    Table(
        "oos_predictions",
        "training",
        "Scores of each quarter by the model whose training ended before it.",
        ("model", "ticker", "session"),
        (
            Column("model", pl.String, "-", "registered model name", nullable=False),
            TICKER,
            SESSION,
            Column("score", pl.Float64, "probability", "P(close[t+3] > close[t]) as known at the close of t; null: too little history"),
            Column("base_rate", pl.Float64, "fraction", "frequency of label 1 in the model's training span", nullable=False),
            CUTOFF,
            RUN,
        ),
    ),
    Table(
        "trades",
        "training",
        "Journal of closed trades, dated by exit; with the prices every figure of a backtest can be recomputed from it.",
        ("strategy", "account", "ticker", "session"),
        (
            *STRATEGY,
            TICKER,
            Column("session", pl.Date, "exchange date", "the session of the exit", nullable=False),
            Column("decided", pl.Date, "exchange date", "the session at whose close the entry was decided", nullable=False),
            Column("entered", pl.Date, "exchange date", "the session of the entry", nullable=False),
            Column("entry_shares", pl.Float64, "shares", "whole shares bought", nullable=False),
            Column("exit_shares", pl.Float64, "shares", "shares sold: entry shares times splits while held", nullable=False),
            usd("entry_price", "fill a share, half-spread included", nullable=False),
            usd("exit_price", "fill a share, half-spread included", nullable=False),
            usd("stop_price", "initial stop; null where the rule has none"),
            Column("exit_reason", pl.String, "-", "time, stop or gap", nullable=False),
            usd("commission", "both sides", nullable=False),
            usd("spread_cost", "both sides, already inside the prices", nullable=False),
            usd("dividends", "received while held", nullable=False),
            usd("pnl", "after all costs", nullable=False),
            Column("ret", pl.Float64, "fraction", "pnl over the cash paid at entry", nullable=False),
        ),
    ),
    Table(
        "equity",
        "training",
        "Value of each account at every close.",
        ("strategy", "account", "ticker", "session"),
        (
            *STRATEGY,
            Column("rule", pl.String, "-", "the strategy with its settings, and the names it chose among", nullable=False),
            Column("scores", pl.String, "-", "hash of the model runs whose scores the account has seen so far"),
            Column("ticker", pl.String, "-", "the name, or PORTFOLIO for the account over all names", nullable=False),
            SESSION,
            usd("equity", "cash plus positions at the raw close", nullable=False),
            usd("cash", "cash", nullable=False),
            usd("position", "market value of positions at the raw close", nullable=False),
            Column("entries", pl.Int64, "entries", "entries filled so far, the open ones included", nullable=False),
            Column("exits", pl.Int64, "exits", "exits filled so far: as many rows of trades up to this session", nullable=False),
            usd("costs", "commission and half-spread paid so far on both sides", nullable=False),
        ),
    ),
    Table(
        "signal",
        "decision",
        "The decision of one session for one name, with the versions of what it read.",
        ("ticker", "session"),
        (
            TICKER,
            SESSION,
            Column("status", pl.String, "-", "ok, or why there is no score", nullable=False),
            Column("reason", pl.String, "-", "one sentence when status is not ok, or a caveat"),
            Column("score", pl.Float64, "probability", "P(close[t+3] > close[t]) as known at the close of t"),
            Column("base_rate", pl.Float64, "fraction", "frequency of label 1 in the model's training span"),
            Column("signal", pl.String, "-", "STRONG_BULL, BULL, NEUTRAL, BEAR or STRONG_BEAR; null without a score"),
            Column("ci_low", pl.Float64, "probability", "2.5 percentile of the score over the bootstrap members"),
            Column("ci_high", pl.Float64, "probability", "97.5 percentile"),
            usd("close", "raw close; null where only an adjusted close is known"),
            Column("model_run_id", pl.String, "-", "MLflow run of the model"),
            Column("cutoff", pl.Date, "date", "the model's training cut-off"),
            Column("feature_set", pl.String, "-", "hash of the feature set the model read"),
            Column("inputs_hash", pl.String, "-", "hash of the feature row it was decided on"),
            Column("rule", pl.String, "-", "bands and threshold it was decided with", nullable=False),
        ),
    ),
    Table(
        "trade_synthesis",
        "decision",
        "The verdict on a signal in words; `writer` says who wrote it.",
        ("ticker", "session"),
        (
            TICKER,
            SESSION,
            Column("verdict", pl.String, "-", "BUY, AVOID, WATCH or NO_DECISION", nullable=False),
            Column("confidence", pl.String, "-", "LOW, MEDIUM or HIGH: how far the interval stays on one side of the base rate", False),
            Column("thesis", pl.String, "-", "two or three sentences, every figure taken from the tables", nullable=False),
            Column("risks", pl.List(pl.String), "-", "what speaks against it", nullable=False),
            Column("writer", pl.String, "-", "rules, or the language model that wrote it", nullable=False),
        ),
    ),
    Table(
        "daily_report",
        "session",
        "All names of a session, ranked by score.",
        ("ticker", "session"),
        (
            TICKER,
            SESSION,
            Column("rank", pl.Int64, "-", "1 is the highest score; null without one"),
            Column("signal", pl.String, "-", "band of the score"),
            Column("score", pl.Float64, "probability", "P(close[t+3] > close[t])"),
            Column("base_rate", pl.Float64, "fraction", "what the score is to be compared with"),
            Column("ci_low", pl.Float64, "probability", "2.5 percentile of the score"),
            Column("ci_high", pl.Float64, "probability", "97.5 percentile of the score"),
            Column("iv_risk", pl.String, "-", "implied-volatility risk, or n/a (reason)", nullable=False),
            Column("top_option", pl.String, "-", "best option setup, or n/a (reason)", nullable=False),
            Column("verdict", pl.String, "-", "verdict of the synthesis, or n/a (reason)", nullable=False),
            Column("confidence", pl.String, "-", "confidence of the synthesis, or n/a (reason)", nullable=False),
            Column("status", pl.String, "-", "ok, or why there is no score", nullable=False),
            Column("reason", pl.String, "-", "one sentence when status is not ok, or a caveat"),
        ),
    ),
    Table(
        "coverage",
        "log",
        "What each step last did with a (table, ticker, window) cell.",
        ("table", "ticker", "window"),
        (
            Column("table", pl.String, "-", "the table written", nullable=False),
            Column("ticker", pl.String, "-", "ticker or series; ALL for tables without one", nullable=False),
            Column("window", pl.String, "-", "partition key of the date dimension", nullable=False),
            Column("window_start", pl.Date, "date", "first day of the window", nullable=False),
            Column("expected", pl.Int64, "sessions", "sessions the calendar and the listing ask for", nullable=False),
            Column("present", pl.Int64, "sessions", "sessions written", nullable=False),
            Column("logged", pl.Int64, "rows", "rows of quality_log on the cell", nullable=False),
            Column("quarantined", pl.Int64, "rows", "rows of quarantine on the cell", nullable=False),
            Column("status", pl.String, "-", "complete, partial, withheld or failed", nullable=False),
            Column("reason", pl.String, "-", "why it is not complete"),
            Column("version", pl.String, "-", "feature set that was computed; null where no version of the code changes the values"),
            Column("written_at", UTC, "UTC", "when its rows were last written; null when a run failed before it wrote any"),
            Column("run_id", pl.String, "-", "orchestrator run that wrote it"),
        ),
        event_time="window_start",
    ),
    Table(
        "quality_log",
        "log",
        "What was repaired, inferred or found to differ between sources, with the evidence.",
        ("table", "ticker", "session", "field"),
        (
            Column("table", pl.String, "-", "the table concerned", nullable=False),
            TICKER,
            SESSION,
            Column("field", pl.String, "-", "column concerned", nullable=False),
            Column("original", pl.Float64, "as the field", "value delivered"),
            Column("repaired", pl.Float64, "as the field", "value stored"),
            Column("method", pl.String, "-", "how it was found or repaired", nullable=False),
            Column("evidence", pl.String, "-", "what the method rests on", nullable=False),
        ),
    ),
    Table(
        "quarantine",
        "log",
        "Rows that were not let in, whole, with the check they broke.",
        ("table", "ticker", "session", "field"),
        (
            Column("table", pl.String, "-", "the table they were meant for", nullable=False),
            TICKER,
            SESSION,
            Column("field", pl.String, "-", "column that broke the check; * for the whole row", nullable=False),
            Column("value", pl.Float64, "as the field", "offending value"),
            Column("check", pl.String, "-", "name of the check", nullable=False),
            Column("reason", pl.String, "-", "value, limit and remedy in one sentence", nullable=False),
            Column("row", pl.String, "JSON", "the row as delivered", nullable=False),
            Column("source", pl.String, "-", "who delivered it", nullable=False),
            Column("fetched_at", UTC, "UTC", "when it was fetched", nullable=False),
        ),
    ),
)
TABLES: dict[str, Table] = {table.name: table for table in _TABLES}
