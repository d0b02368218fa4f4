"""What the page says of the data: a sentence or two, the last sessions as bars, and the names that need a look."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import polars as pl

from quant_assets.quality.scorecard import STATES, trend
from quant_assets.reporting import wording

SHOWN_STATES = ("repaired", "disagreement", "quarantined", "missing")
LETTERS = {letter: state.replace(" ", "-") for state, letter in STATES.items()}
SHOWN_NAMES = 10
BLEMISHES = ("missing", "repaired", "disagreements", "quarantined", "broken", "doubtful")


def data_section(scores: pl.DataFrame) -> dict[str, Any] | None:
    """What the template shows; None before the first scorecard.

    Parameters
    ----------
    scores : rows of `quality_scorecard`, of one session.
    """
    if scores.is_empty():
        return None
    seen = scores.sort("ticker", "table", "source").with_columns(missing=pl.col("expected") - pl.col("present"))
    bad = pl.any_horizontal((pl.col(name).fill_null(0) > 0) for name in BLEMISHES)
    lately = pl.col("last_60").fill_null("").str.replace_all(r"[. ]", "").str.len_chars()
    worst = ("broken", lately, "quarantined", "missing", "disagreements")
    blemished = seen.filter(bad).sort(worst, descending=True, nulls_last=True, maintain_order=True)
    clean = seen.filter(~bad)
    return {
        "session": scores["session"][0],
        "broken": _broken(seen),
        "findings": _findings(seen),
        "trend": (bars := _bars(scores)),
        "spotless": not any(bar["parts"] for bar in bars),
        "n_sessions": scores["last_60"].str.len_chars().max() or 0,
        "rows": [row | {"strip": _strip(row["last_60"])} for row in blemished.iter_rows(named=True)],
        "clean": clean.height,
        "clean_names": [f"{row['ticker']} ({row['table'].replace('_', ' ')}, {row['source']})" for row in clean.iter_rows(named=True)],
        "states": [(state, LETTERS[STATES[state]]) for state in SHOWN_STATES],
    }


def _findings(seen: pl.DataFrame) -> list[str]:
    daily = seen.drop_nulls("expected")
    expected, present = int(daily["expected"].sum()), int(daily["present"].sum())
    share = wording.percent(present / expected if expected else None, 2 if present < expected else 0)
    day = seen["session"][0]
    told = [f"At the scorecard of {day}, {share} of the {expected:,} expected sessions are there, of {daily.height} series."]
    absent = daily.filter(present=0)["ticker"].to_list()
    if absent:
        shown = ", ".join(absent[:SHOWN_NAMES]) + (f" and {len(absent) - SHOWN_NAMES} more" if len(absent) > SHOWN_NAMES else "")
        told.append(f"{len(absent)} of {daily.height} have no row at all: {shown}.")
    counts = {name: int(seen[name].sum()) for name in ("repaired", "disagreements", "quarantined", "doubtful")}
    told.append(
        f"{wording.count(counts['repaired'], 'value')} put right, {wording.count(counts['quarantined'], 'value')} in quarantine, "
        f"{wording.count(counts['disagreements'], 'value')} that another source gives differently, "
        f"{wording.count(counts['doubtful'], 'row')} of the last sessions that are possible and unlikely."
    )
    others = seen.filter(pl.col("expected").is_null())
    if others.height:
        tables = wording.count(others["table"].n_unique(), "table")
        told.append(f"Beside them {int(others['present'].sum()):,} rows of {tables} without a row a session.")
    return told


def _broken(seen: pl.DataFrame) -> str | None:
    """What is stored and cannot be true."""
    names = seen.filter(pl.col("broken") > 0)
    if names.is_empty():
        return None
    where = ", ".join(
        f"{table.replace('_', ' ')} of {ticker}" for table, ticker in names.select("table", "ticker").head(SHOWN_NAMES).iter_rows()
    )
    return (
        f"{wording.count(int(names['broken'].sum()), 'stored value')} cannot be true ({where}): changed since they were let in. The check "
        "suites of the asset quality_scorecard lists them, with the command that fills the first again."
    )


def _bars(scores: pl.DataFrame) -> list[dict[str, Any]]:
    """A bar a session, oldest first: the share of names in each state that is not good, in per cent, and the words."""
    bars = []
    for counts in trend(scores):
        n = sum(number for state, number in counts.items() if state != "not listed")
        parts = [(LETTERS[STATES[state]], 100 * counts[state] / n) for state in SHOWN_STATES if n and counts[state]]
        told = ", ".join(f"{counts[state]} {state}" for state in SHOWN_STATES if counts[state]) or "all good"
        bars.append({"parts": parts, "told": f"{told} of {n}"})
    return bars


def _strip(letters: str | None) -> list[tuple[str, int]]:
    """(state, sessions in a row) of the last sessions: a clean name is one piece."""
    return [(LETTERS[letter], len(list(run))) for letter, run in groupby(letters or "")]
