"""The out-of-sample record: the model that decides beside what it must beat, on the same rows. What each figure is, `skill.py` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from quant_assets.validation.skill import Skill, auc_interval, measure

MAJORITY = "majority"
"""Always the base rate that was known at the cut-off."""
KEY = ["ticker", "session"]


@dataclass(frozen=True)
class Record:
    """What was scored out of sample and is known by now.

    Parameters
    ----------
    decides : skill of the model that decides, on all its rows.
    rivals : by name, that model first; each on the rows that all of them have scored.
    by_ticker : ticker, n_rows, auc, low, high (95 %) of the model that decides; null where there is one outcome only, the limits below
        `skill.FEWEST_SESSIONS` sessions too.
    """

    decides: Skill
    rivals: dict[str, Skill]
    by_ticker: pl.DataFrame


def record(scored: pl.DataFrame, *, decides: str, rivals: Sequence[str], threshold: float) -> Record:
    """The record of a model and its rivals.

    Parameters
    ----------
    scored : model, ticker, session, score, base_rate (of the model), label (0, 1), ret (fraction); other models' rows are left alone, rows
        without score or label are left out.
    rivals : one without a row, as beside models from before there were baselines, is left out.
    threshold : the user's rule, for the share of scores above it.
    """
    known = scored.drop_nulls(["score", "label"])
    rivals = [name for name in rivals if name in known["model"]]
    mine = known.filter(model=decides)
    shared = mine
    for name in rivals:
        shared = shared.join(known.filter(model=name), on=KEY, how="semi")
    of_each = {decides: shared, **{name: known.filter(model=name).join(shared, on=KEY, how="semi") for name in rivals}}
    of_each[MAJORITY] = shared.with_columns(score="base_rate")
    own = measure(mine, threshold=threshold)
    skills = {
        name: own if name == decides and rows.height == mine.height else measure(rows, threshold=threshold)
        for name, rows in of_each.items()
    }
    return Record(own, skills, _by_ticker(mine))


def _by_ticker(rows: pl.DataFrame) -> pl.DataFrame:
    found = []
    for (ticker,), own in rows.group_by("ticker", maintain_order=True):
        told = auc_interval(own) if own["label"].n_unique() == 2 else (None, None, None)
        found.append((ticker, own.height, *told))
    schema = {"ticker": pl.String, "n_rows": pl.Int64, "auc": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(found, schema=schema, orient="row").sort("ticker")
