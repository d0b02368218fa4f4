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
from quant_assets.features import across
from quant_assets.features.catalog import ALL_FEATURES
from quant_assets.features.compute import compute, compute_each
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets.lake import coverage
from quant_assets.lake.coverage import ALL
from quant_assets.membership import inside as within_lives
from quant_assets.models.pooled import predict
from quant_assets.models.terms import HORIZON_SESSIONS, MIN_HISTORY_SESSIONS, MODEL_NAME
from quant_assets.quality.findings import Findings
from quant_assets.quality.lookahead import FUTURES, differences, informative_cuts, leaks, leaks_of_each, sampled, sentence
from quant_assets.quality.withheld import Tables, known
from quant_assets.schemas import TABLES
from quant_assets.steps.decisions import nights
from quant_assets.steps.features import blocks, read_of_bars, tables_read
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
CUTS_A_KIND = 2
"""Times CUTS: the telling sessions that are tried of all that were found."""
DAYS_BEFORE, DAYS_AFTER, DAYS_SOON = 60, 180, 14
"""Of a cut: what is computed again before it, how much of the future is there to be read, and in how much of it a name tells most."""
NAMES_A_CUT = 6
"""A feature is the same function for every name: other names are tried at other cuts and on other nights."""
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
    tables = {name: rows.collect() for name, rows in tables_read(work, names, work.history).items()}
    telling = sampled(informative_cuts(tables, work.history, n=n_cuts, seed=seed), CUTS_A_KIND * n_cuts, seed=seed)
    cuts = sorted({*telling, *informative_cuts({}, work.out_of_sample, n=n_cuts, seed=seed)})
    scorer = _Scorer(work, names, cuts)
    computed, compared = scorer.tried(tables, cuts, seed=seed)
    labels = leaks(labels_as_known, {"prices": tables["prices"]}, cuts, output="labels", seed=seed)
    known_labels = labels_as_known(tables)
    is_score = pl.col("column") == SCORE
    found = {
        "features": (computed.filter(~is_score), {name: n for name, n in compared.items() if name != SCORE}),
        "labels": (labels, _counts("labels", known_labels, cuts)),
        "scores": (computed.filter(is_score), {SCORE: compared[SCORE]}),
    }
    rows = [row for subject, (leak, counts) in found.items() for row in _compared(subject, leak, counts)]
    rows += _stored(work, names, scorer, tables, known_labels)
    told = [leak.select(pl.lit(subject).alias("subject"), pl.all()) for subject, (leak, _) in found.items()]
    return Proof(pl.DataFrame(rows, schema=ROWS, orient="row"), pl.concat(told), tuple(cuts))


class _Scorer:
    """All features, and the scores of those quarters that the cuts fall in, by their stored models.

    A cut is tried on a few names and the sessions before it: what looks ahead shows there. All that is stored is computed again besides.
    """

    def __init__(self, work: Workspace, names: Sequence[str], cuts: Sequence[dt.date]) -> None:
        self.work, self.eligible = work, work.eligible(names)
        models, quarters = registry(work), {quarter_window(cut) for cut in cuts if cut in work.out_of_sample}
        self.boosters = {quarter: models.load(trained_at(work, quarter.start)["model_run_id"]).booster for quarter in quarters}

    def tried(self, tables: Tables, cuts: Sequence[dt.date], *, seed: int) -> tuple[pl.DataFrame, dict[str, int]]:
        """Rows of `lookahead.LEAKS`, and how many values of each column were compared."""
        tries = [(_near(tables, cut, seed + place), cut) for place, cut in enumerate(cuts)]
        before = dt.timedelta(days=DAYS_BEFORE) + across.BEFORE
        windows = [Window(cut - before, dt.date.max) for cut in cuts for _ in range(1 + FUTURES)]
        first: list[pl.DataFrame] = []

        def builds(several: Sequence[Tables]) -> list[pl.DataFrame]:
            # all together, since to plan hundreds of expressions takes longer than to evaluate them on a few names
            rows = self.rows(several, windows)
            first.extend(rows[:: 1 + FUTURES])
            return rows

        found = leaks_of_each(builds, tries, seed=seed)
        values = pl.all().exclude(*KEY)
        counts = pl.concat(
            known("features", rows, cut).select(values.count().cast(pl.Int64)) for rows, cut in zip(first, cuts, strict=True)
        )
        return found, {name: FUTURES * n for name, n in counts.sum().row(0, named=True).items()}

    def rows(self, several: Sequence[Tables], windows: Sequence[Window]) -> list[pl.DataFrame]:
        """ticker, session, every feature of bars and across names, score, from each of the tables in its window."""
        alone = compute_each(several, windows)
        beside = [self.across_and_scores(rows, tables).drop(KEY) for rows, tables in zip(alone, several, strict=True)]
        return [pl.concat(both, how="horizontal") for both in zip(alone, beside, strict=True)]  # of the same keys in the same order

    def across_and_scores(self, alone: pl.DataFrame, tables: Tables) -> pl.DataFrame:
        """ticker, session, every feature across names, score; a row for each of the features of bars that are given."""
        beside = across.compute(alone.select(*KEY, *across.READ), tables, self.eligible)
        rows = pl.concat([alone.select(*KEY, *read_of_bars(self.work)), beside.drop(KEY)], how="horizontal")
        bars = tables["prices"].sort(KEY).select(*KEY, place=pl.int_range(pl.len()).over("ticker"))
        old_enough = rows.join(bars.filter(pl.col("place") >= MIN_HISTORY_SESSIONS), on=KEY, how="semi", maintain_order="left")
        parts = [pl.DataFrame(schema={"ticker": pl.String, "session": pl.Date, SCORE: pl.Float64})]
        for quarter, booster in self.boosters.items():
            mine = old_enough.filter(pl.col("session").is_between(quarter.start, quarter.end, closed="left"))
            if mine.is_empty():
                continue
            scores = pl.Series(SCORE, predict(booster, mine, features=self.work.model_features), dtype=pl.Float64)
            parts.append(mine.select(KEY).with_columns(scores))
        return beside.join(pl.concat(parts), on=KEY, how="left", maintain_order="left")


def _near(tables: Tables, cut: dt.date, seed: int) -> dict[str, pl.DataFrame]:
    """What the cut is tried on: a few names, and all that is until DAYS_AFTER it."""
    day, names = cut + dt.timedelta(days=DAYS_AFTER), _some_names(tables["prices"], cut, seed)
    return {
        name: rows.filter(pl.col(TABLES[name].event_time) < day, pl.col("ticker").is_in(names) if "ticker" in rows.columns else True)
        for name, rows in tables.items()
    }


def _some_names(prices: pl.DataFrame, cut: dt.date, seed: int) -> list[str]:
    """NAMES_A_CUT names: first those with a split, a dividend or a first bar just after the cut, then at random."""
    soon = pl.col("session").is_between(cut, cut + dt.timedelta(days=DAYS_SOON), closed="right")
    is_first = pl.col("session") == pl.col("session").min().over("ticker")
    told = soon & ((pl.col("split_factor") != 1) | (pl.col("dividend") != 0) | is_first)
    telling = prices.filter(told)["ticker"].unique().sort()
    every = prices["ticker"].unique().sort()
    others = every.filter(~every.is_in(telling.implode()))
    return [*telling.shuffle(seed), *others.shuffle(seed)][:NAMES_A_CUT]


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


def _counts(table: str, built: pl.DataFrame, cuts: Sequence[dt.date]) -> dict[str, int]:
    """How many values of each column were compared at the cuts."""
    columns = pl.all().exclude(*KEY, "label_start", "label_end")
    per_cut = pl.concat(known(table, built, cut).select(columns.count().cast(pl.Int64)) for cut in cuts)
    return {name: FUTURES * n for name, n in per_cut.sum().row(0, named=True).items()}


def _compared(subject: str, leak: pl.DataFrame, counts: Mapping[str, int]) -> list[Row]:
    """Rows of ROWS: a column each."""
    rows: list[Row] = []
    for column, n in counts.items():
        mine = leak.filter(column=column)
        rows.append((subject, column, n, int(mine["differing"].sum()), None, _first(mine)))
    return rows


def _stored(work: Workspace, names: Sequence[str], scorer: _Scorer, tables: Tables, labels: pl.DataFrame) -> list[Row]:
    """Rows of ROWS: a table each. What is stored of a name beyond its life, as it is told now, is nobody's to read.

    Ranks depend on all names: where not all are looked at, those stored are left alone.
    """
    lives = coverage.listings(work.universe, names)
    found: dict[str, list[tuple[int, pl.DataFrame]]] = {}

    def beside(table: str, computed: pl.DataFrame, keys: Sequence[str]) -> None:
        scope = {"model": MODEL_NAME} if table == "oos_predictions" else None
        lazily = work.lake.scan(table, keys=keys, window=work.history, scope=scope).select(computed.columns)
        stored = within_lives(known(table, lazily.collect(), work.as_of), lives).join(computed, on=KEY, how="semi")
        differ = differences(computed.join(stored, on=KEY, how="semi"), stored, "features", work.as_of, "stored")
        n_values = sum(stored.select(pl.all().exclude(*KEY).count()).row(0))
        found.setdefault(table, []).append((n_values, differ))

    narrow = []
    for part in blocks(work, names):
        mine = {name: rows.filter(pl.col("ticker").is_in(part)) if "ticker" in rows.columns else rows for name, rows in tables.items()}
        alone = compute(mine)
        beside("features", alone, part)
        narrow.append(alone.select(*KEY, *dict.fromkeys([*across.READ, *read_of_bars(work)])))
    # ranked are those whose features are stored, which a name that fails tonight lacks
    there = work.lake.scan("features", keys=names, window=work.history, columns=KEY).collect()
    rows = scorer.across_and_scores(pl.concat(narrow).join(there, on=KEY, how="semi").sort(KEY), tables)
    if set(names) == set(work.universe.tickers):
        beside("cross_section_features", rows.drop(SCORE), names)
    beside("oos_predictions", rows.drop_nulls(SCORE).select(*KEY, SCORE), names)
    beside("labels", labels, names)
    told: list[Row] = []
    for table, parts in found.items():
        differ = pl.concat(part for _, part in parts)
        told.append(("stored", table, sum(n for n, _ in parts), int(differ["differing"].sum()), None, _first(differ)))
    return told


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
