"""Whether every row that a decision reads was public in time. What is computed from them is `proof.py`'s business."""

from __future__ import annotations

import datetime as dt

import polars as pl

from quant_assets.calendars import Window, day_window, session_table
from quant_assets.models.terms import MODEL_NAME
from quant_assets.schemas.table import UTC, Dtype
from quant_assets.steps.models import trained_at
from quant_assets.validation.purged import embargoed
from quant_assets.workspace import Workspace

ROWS: dict[str, Dtype] = {
    "subject": pl.String,
    "name": pl.String,
    "compared": pl.Int64,
    "differing": pl.Int64,
    "latest_known_at": UTC,
    "example": pl.String,
}
"""Columns of table `leak_proof` that a proof fills."""


def prove_inputs(night: Workspace) -> pl.DataFrame:
    """Rows of ROWS: whether each row that the decision of this night reads was public when it is taken to be.

    A bar is read as of the close of its own session, whichever night reads it; a label, as of the cut-off of the model that learned it.
    """
    trained = trained_at(night, night.cutoff)
    learnt = Window(trained["train_start"], trained["train_end"] + dt.timedelta(days=1))
    labels = night.lake.scan("labels", window=learnt).select(told="label_end", limit=pl.lit(embargoed(night.cutoff)))
    day = day_window(night.as_of)
    scores = night.lake.scan("oos_predictions", window=day, scope={"model": MODEL_NAME}).select(told="cutoff", limit="session")
    closes = session_table(night.history).lazy()
    reads = {
        name: night.lake.scan(name, window=night.history).join(closes, on="session").select(told="known_at", limit="close_at")
        for name in ("prices", "index_prices")
    } | {"labels": labels.with_columns(pl.col("told").dt.offset_by("1d")), "oos_predictions": scores}
    rows = []
    for name, read in reads.items():
        late = pl.col("told") > pl.col("limit")
        told = pl.col("told")
        counts = read.select(n=pl.len(), late=late.sum(), latest=told.max(), first=told.filter(late).first()).collect()
        n, n_late, latest, first = counts.row(0)
        why = f"{name}: {n_late} of {n} rows became public after they are read, the first at {first}" if n_late else None
        rows.append(("inputs", name, n, n_late, latest if isinstance(latest, dt.datetime) else None, why))
    return pl.DataFrame(rows, schema=ROWS, orient="row")
