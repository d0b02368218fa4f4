"""The step before the decision: proof that nothing the night decides on has seen the future.

Features, labels and scores are computed again from what was known at sampled sessions, and what is stored must equal what its inputs give.
How a leak is found is `quality/lookahead.py`'s business, which rows a decision reads `proof_of_inputs.py`'s.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from quant_assets.calendars import Window, day_window, quarter_window, session_offset, session_table
from quant_assets.demand import proven_files
from quant_assets.features.catalog import ALL_FEATURES
from quant_assets.features.compute import compute
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets.lake import coverage
from quant_assets.lake.coverage import ALL
from quant_assets.membership import inside as within_lives
from quant_assets.models.pooled import predict, with_history
from quant_assets.models.terms import HORIZON_SESSIONS, MODEL_NAME
from quant_assets.quality.findings import Findings
from quant_assets.quality.lookahead import FUTURES, Build, differences, informative_cuts, leaks, sentence
from quant_assets.quality.withheld import Tables, known
from quant_assets.schemas import TABLES
from quant_assets.steps.decisions import nights
from quant_assets.steps.models import registry, trained_at
from quant_assets.steps.proof_of_inputs import ROWS, prove_inputs
from quant_assets.steps.result import StepResult
from quant_assets.workspace import Workspace

Windows = Mapping[str, Window]
Row = tuple[object, ...]
KEY = ["ticker", "session"]
SCORE = "score"
CUTS = 2
"""Sessions at random, of all history and of the out-of-sample part, and as many of each kind that has something to show."""
SUBJECTS = ("features", "labels", "scores", "stored", "inputs")


@dataclass(frozen=True)
class Proof:
    """rows : subject, name, compared, differing, latest_known_at, example of table `leak_proof`. leaks : of `lookahead.leaks`, with their
    subject. cuts : the sessions tried."""

    rows: pl.DataFrame
    leaks: pl.DataFrame
    cuts: tuple[dt.date, ...]

    @property
    def failures(self) -> list[str]:
        """One sentence each."""
        return self.rows.filter(pl.col("differing") > 0)["example"].to_list()


def prove(work: Workspace, windows: Windows) -> StepResult:
    """Proves the sessions asked for: what is computed, once as of the last of them; which rows were read, for each."""
    in_order = sorted(nights(work, windows), key=lambda night: night.as_of)
    seen = {night.as_of: proven_files(night, night.as_of) for night in in_order}
    computed = prove_computed(in_order[-1])
    spec, parts, failed = TABLES["leak_proof"], [], {}
    for night in in_order:
        proof = replace(computed, rows=pl.concat([computed.rows, prove_inputs(night)]))
        run_id = trained_at(night, night.cutoff)["model_run_id"]
        told = {"session": night.as_of, "cuts": len(proof.cuts), "feature_set": ALL_FEATURES, "model_run_id": run_id}
        told["inputs"] = seen[night.as_of]
        rows = proof.rows.with_columns(pl.lit(value, dtype=spec.schema[name]).alias(name) for name, value in told.items())
        rows = spec.conform(rows)
        work.lake.replace("leak_proof", rows, keys=None, window=day_window(night.as_of))
        parts.append(rows)
        if proof.failures:
            failed[ALL, night.as_of.isoformat()] = f"{proof.failures[0]}; no decision is taken on it{_remedy(proof.rows)}"
    rows = pl.concat(parts)
    figures = {"values_compared": int(parts[-1]["compared"].sum()), "cuts": [str(cut) for cut in computed.cuts]}
    return StepResult(rows, figures, [_check(subject, rows, computed.leaks) for subject in SUBJECTS], failed)


def prove_night(work: Workspace, tickers: Sequence[str], *, n_cuts: int = CUTS) -> Proof:
    """All that is proven before the decision of `as_of`, of these names.

    Raises
    ------
    ModelError : a model of the night is missing or cannot be read.
    """
    computed = prove_computed(work, tickers, n_cuts=n_cuts)
    return replace(computed, rows=pl.concat([computed.rows, prove_inputs(work)]))


def prove_computed(work: Workspace, tickers: Sequence[str] | None = None, *, n_cuts: int = CUTS) -> Proof:
    """Features, labels and scores of the names (None: all), computed again at sampled sessions, and what is stored beside them.

    Raises
    ------
    ModelError : a stored model cannot be read.
    """
    names = list(tickers or work.universe.tickers)
    seed = work.as_of.toordinal()
    tables = {
        "prices": work.lake.scan("prices", keys=names, window=work.history).collect(),
        "index_prices": work.lake.scan("index_prices", window=work.history).collect(),
    }
    recent = informative_cuts({}, work.out_of_sample, n=n_cuts, seed=seed)
    cuts = sorted({*informative_cuts(tables, work.history, n=n_cuts, seed=seed), *recent})
    scored = _scorer(work, cuts)
    features = leaks(scored, tables, cuts, seed=seed)
    labels = leaks(labels_as_known, {"prices": tables["prices"]}, cuts, output="labels", seed=seed)
    full, known_labels = scored(tables), labels_as_known(tables)
    is_score = pl.col("column") == SCORE
    found = {
        "features": (features.filter(~is_score), full.drop(SCORE)),
        "labels": (labels, known_labels.select("ticker", "session", "label_end", "label", "ret")),
        "scores": (features.filter(is_score), full.select("ticker", "session", SCORE)),
    }
    rows = [row for subject, (leak, built) in found.items() for row in _compared(subject, leak, built, cuts)]
    rows += _stored(work, names, full, known_labels)
    told = [leak.select(pl.lit(subject).alias("subject"), pl.all()) for subject, (leak, _) in found.items()]
    return Proof(pl.DataFrame(rows, schema=ROWS, orient="row"), pl.concat(told), tuple(cuts))


def _scorer(work: Workspace, cuts: Sequence[dt.date]) -> Build:
    """All features, and the scores of those quarters that the cuts fall in, by their stored models."""
    models, quarters = registry(work), {quarter_window(cut) for cut in cuts if cut in work.out_of_sample}
    boosters = {quarter: models.load(trained_at(work, quarter.start)["model_run_id"]).booster for quarter in quarters}

    def build(tables: Tables) -> pl.DataFrame:
        rows = compute(tables["prices"].lazy(), tables["index_prices"].lazy())
        parts = [pl.DataFrame(schema={"ticker": pl.String, "session": pl.Date, SCORE: pl.Float64})]
        old_enough = with_history(rows)
        for quarter, booster in boosters.items():
            mine = old_enough.filter(pl.col("session").is_between(quarter.start, quarter.end, closed="left"))
            scores = pl.Series(SCORE, predict(booster, mine, features=work.model_features), dtype=pl.Float64)
            parts.append(mine.select("ticker", "session").with_columns(scores))
        return rows.join(pl.concat(parts), on=["ticker", "session"], how="left", maintain_order="left")

    return build


def labels_as_known(tables: Tables) -> pl.DataFrame:
    """As known at the close of the last bar; none before the first."""
    prices = tables["prices"]
    if prices.is_empty():
        return pl.DataFrame(schema=TABLES["labels"].schema)
    first, last = prices["session"].min(), prices["session"].max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    calendar = session_table(Window(first, session_offset(last, HORIZON_SESSIONS + 1)))
    return forward_return_labels(prices.lazy(), calendar, horizon=HORIZON_SESSIONS, as_of=last)


def _compared(subject: str, leak: pl.DataFrame, built: pl.DataFrame, cuts: Sequence[dt.date]) -> list[Row]:
    """Rows of ROWS: a column each."""
    columns = [name for name in built.columns if name not in ("ticker", "session", "label_end")]
    table = "labels" if subject == "labels" else "features"
    counts = pl.concat([known(table, built, cut).select(pl.col(columns).count()) for cut in cuts]).sum()
    rows: list[Row] = []
    for column in columns:
        mine = leak.filter(column=column)
        rows.append((subject, column, FUTURES * counts[column].item(), int(mine["differing"].sum()), None, _first(mine)))
    return rows


def _stored(work: Workspace, names: Sequence[str], full: pl.DataFrame, labels: pl.DataFrame) -> list[Row]:
    """Rows of ROWS: a table each. What is stored of a name beyond its life, as it is told now, is nobody's to read."""
    lives = coverage.listings(work.universe, names)
    scores = full.drop_nulls(SCORE).select(*KEY, SCORE)
    again = {"features": full.drop(SCORE), "labels": labels, "oos_predictions": scores}
    rows: list[Row] = []
    for table, computed in again.items():
        scope = {"model": MODEL_NAME} if table == "oos_predictions" else None
        lazily = work.lake.scan(table, keys=names, window=work.history, scope=scope).select(computed.columns)
        stored = within_lives(known(table, lazily.collect(), work.as_of), lives).join(computed, on=KEY, how="semi")
        differ = differences(computed.join(stored, on=KEY, how="semi"), stored, "features", work.as_of, "stored")
        values = stored.select(pl.all().exclude(*KEY).count()).sum_horizontal().sum()
        rows.append(("stored", table, values, int(differ["differing"].sum()), None, _first(differ)))
    return rows


def _remedy(rows: pl.DataFrame) -> str:
    subject, table = rows.filter(pl.col("differing") > 0).select("subject", "name").row(0)
    return f", fill it again with `quant-assets backfill --tables {table}`" if subject == "stored" else ""


def _first(found: pl.DataFrame) -> str | None:
    return next((sentence(row) for row in found.head(1).iter_rows(named=True)), None)


def _check(subject: str, rows: pl.DataFrame, found: pl.DataFrame) -> Findings:
    mine = rows.filter(subject=subject)
    bad = mine.filter(pl.col("differing") > 0)
    n = mine["compared"].sum()
    told = "; ".join(bad["example"]) if bad.height else f"{n:,} values compared, none differs"
    where = found.filter(subject=subject).drop("subject")
    return Findings(subject, bad.is_empty(), told, rows=where if where.height else bad.select("session", "name", "example"))
