"""What scores have been worth out of sample, as known at the night: of one model, and of the one that decides beside its rivals."""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.membership import inside
from quant_assets.models.terms import BASELINES, MODEL_NAME
from quant_assets.validation.record import Record, record
from quant_assets.validation.skill import Skill, measure
from quant_assets.workspace import Workspace

KEY = ["ticker", "session"]


def skill_of(work: Workspace, model: str = MODEL_NAME) -> Skill:
    """Skill of a model's scores of the universe's names, on the days on which they were eligible, whose label is known by `as_of`."""
    return measure(_scored(work, [model]), threshold=work.settings.signal.score_threshold)


def record_of(work: Workspace, *, until: dt.date | None = None) -> Record:
    """The record of the model that decides, beside the baselines; rows as in `skill_of`, those known by `until` where that is given."""
    scored = _scored(work, [MODEL_NAME, *BASELINES], until)
    return record(scored, decides=MODEL_NAME, rivals=BASELINES, threshold=work.settings.signal.score_threshold)


def _scored(work: Workspace, models: list[str], until: dt.date | None = None) -> pl.DataFrame:
    scores = work.lake.scan("oos_predictions", keys=work.universe.tickers, window=work.out_of_sample).filter(pl.col("model").is_in(models))
    labels = work.lake.scan("labels", window=work.out_of_sample).filter(pl.col("label_end") <= min(until or work.as_of, work.as_of))
    columns = ("model", *KEY, "score", "base_rate", "label", "ret")
    return inside(scores.join(labels, on=KEY).select(columns).collect(), work.eligible())
