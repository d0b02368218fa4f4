"""Tables that steps write beside their own: what is there, what was found, what was not let in."""

from __future__ import annotations

import polars as pl

from quant_assets.schemas.table import SESSION, TICKER, UTC, Column, Table

INPUTS = Column("inputs", pl.String, "-", "hash of the files that were looked at: of others nothing is said")

LOGS = (
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
            Column("logged", pl.Int64, "rows", "rows of quality_log and feature_gaps on the cell", nullable=False),
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
        ("table", "ticker", "session", "field", "source"),
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
    Table(
        "rulings",
        "log",
        "What an operator has said of quarantined values.",
        ("table", "ticker", "session", "field"),
        (
            Column("table", pl.String, "-", "the table they were meant for", nullable=False),
            TICKER,
            SESSION,
            Column("field", pl.String, "-", "as in quarantine", nullable=False),
            Column("value", pl.Float64, "as the field", "the value that was ruled on: another one is judged anew"),
            Column("ruling", pl.String, "-", "released: let in as delivered; rejected: seen, and kept out", nullable=False),
            Column("because", pl.String, "-", "in the operator's words", nullable=False),
            Column("ruled_at", UTC, "UTC", "when", nullable=False),
        ),
    ),
    Table(
        "leak_proof",
        "session",
        "Proof before each decision that nothing it reads has seen the future: what was compared, and what differed.",
        ("session", "subject", "name"),
        (
            SESSION,
            Column("subject", pl.String, "-", "features, labels, scores, stored or inputs", nullable=False),
            Column("name", pl.String, "-", "the column computed again, or the table read", nullable=False),
            Column("compared", pl.Int64, "values or rows", "how many were compared", nullable=False),
            Column("differing", pl.Int64, "values or rows", "how many differ, or were public too late", nullable=False),
            Column("cuts", pl.Int64, "sessions", "after which the future was withheld, multiplied and shuffled", nullable=False),
            Column("latest_known_at", UTC, "UTC", "of inputs: when the last row became public"),
            Column("example", pl.String, "-", "the first difference, with both values"),
            Column("feature_set", pl.String, "-", "features that were tried", nullable=False),
            Column("model_run_id", pl.String, "-", "MLflow run of the model that decides", nullable=False),
            INPUTS,
        ),
    ),
    Table(
        "quality_scorecard",
        "session",
        "How good the data of each name are, source by source, at the end of a week.",
        ("session", "table", "ticker", "source"),
        (
            SESSION,
            Column("table", pl.String, "-", "the table concerned", nullable=False),
            Column("ticker", pl.String, "-", "ticker or series", nullable=False),
            Column("source", pl.String, "-", "who delivered the rows, or should have", nullable=False),
            Column("expected", pl.Int64, "sessions", "that must have a row; null where a vendor may rightly have nothing"),
            Column("present", pl.Int64, "sessions or rows", "that are stored", nullable=False),
            Column("gaps", pl.Int64, "stretches", "of missing sessions"),
            Column("longest_gap", pl.Int64, "sessions", "in the longest of them"),
            Column("repaired", pl.Int64, "values", "put right"),
            Column("disagreements", pl.Int64, "values", "that another source has otherwise"),
            Column("quarantined", pl.Int64, "values", "kept out", nullable=False),
            Column("broken", pl.Int64, "values", "stored that cannot be true: changed since they were let in", nullable=False),
            Column("doubtful", pl.Int64, "rows", "possible and unlikely, of the last 60 sessions", nullable=False),
            Column("last_good", pl.Date, "date", "of the newest row that is stored"),
            INPUTS,
            Column(
                "last_60", pl.String, "a letter a session", ". good, r repaired, d disagreement, q quarantined, x missing, blank not listed"
            ),
        ),
    ),
)
