"""Steps of the history grid: index prices, prices behind their gate, features, labels."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import polars as pl

from quant_assets.calendars import Window, session_table
from quant_assets.errors import LakeError, SourceError
from quant_assets.features.catalog import ALL_FEATURES, CATALOG, MODEL_FEATURES, feature_set_hash
from quant_assets.features.compute import compute
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets.lake import coverage
from quant_assets.membership import inside as within_lives
from quant_assets.models.terms import HORIZON_SESSIONS
from quant_assets.quality.findings import Findings
from quant_assets.quality.gate import Verdict, judge_prices
from quant_assets.quality.restated import restated
from quant_assets.schemas import TABLES
from quant_assets.settings import Settings
from quant_assets.sources import source_named, sources
from quant_assets.sources.reconcile import compare_returns, findings_log
from quant_assets.steps.guard import note, ready
from quant_assets.steps.result import StepResult
from quant_assets.universe import Universe
from quant_assets.workspace import Workspace

Windows = Mapping[str, Window]


@dataclass(frozen=True)
class RawPrices:
    """frames : the vendors' own, by source name. failed : each name that its vendor did not deliver, with the reason."""

    frames: dict[str, pd.DataFrame]
    failed: Mapping[str, str] = field(default_factory=dict)


def span(windows: Windows) -> Window:
    """The dates from the first window's start to the last one's end."""
    return Window(min(window.start for window in windows.values()), max(window.end for window in windows.values()))


def fetch_index_prices(work: Workspace, windows: Windows) -> StepResult:
    """Fetches every index series of the profile for the windows and replaces them in the lake."""
    from quant_assets.quality.suites import judge_table  # Great Expectations imports for 2.6 s: only when there are new rows

    asked = work.known(span(windows))
    parts = []
    for source in sources(work.settings, "index_prices"):
        parts.append(source.normalise(source.fetch(sorted(source.offers()), asked), fetched_at=work.clock()))
    table = TABLES["index_prices"]
    rows = table.conform(pl.concat(parts).select(list(table.schema))).sort(table.sort_order)
    work.lake.replace("index_prices", rows, keys=None, window=asked)
    return StepResult(rows, checks=judge_table("index_prices", rows))


def fetch_raw_prices(work: Workspace, tickers: Sequence[str], windows: Windows) -> RawPrices:
    """The vendors' own frames: that of each ticker's own source, and of any other that has the ticker too.

    A vendor is asked for one name after the other, and a name that it does not deliver does not stop the others. Data inside a package
    are read at once, and an error there stops all.
    """
    asked = work.known(span(windows))
    frames: dict[str, pd.DataFrame] = {}
    failed: dict[str, str] = {}
    for source in sources(work.settings, "prices"):
        offered = list(source.offers(tickers))
        parts = []
        for names in [offered] if source.policy is None else [[ticker] for ticker in offered]:
            try:
                parts += [source.fetch(names, asked)] if names else []
            except SourceError as error:
                if source.policy is None:
                    raise
                failed |= {name: str(error) for name in names if work.universe[name].source == source.name}
        if parts:
            frames[source.name] = pd.concat(parts, ignore_index=True)
    return RawPrices(frames, failed)


def store_prices(work: Workspace, tickers: Sequence[str], windows: Windows, raw: RawPrices, *, run_id: str | None) -> StepResult:
    """Normalises, reconciles, judges; stores the good cells and the quarantine, and says which cells are withheld.

    A withheld cell keeps the rows that an earlier night let in.
    """
    from quant_assets.quality.suites import judge_table  # as in fetch_index_prices

    asked = work.known(span(windows))
    fetched_at = work.clock()
    delivered = _delivered(raw.frames, settings=work.settings, fetched_at=fetched_at)
    listed = pl.DataFrame([(ticker, work.universe[ticker].source) for ticker in tickers], schema=["ticker", "source"], orient="row")
    own = within_lives(delivered.join(listed, on=["ticker", "source"]), coverage.listings(work.universe, tickers))
    failed = {**raw.failed, **restated(own, _stored_beside(work, own))}
    judged = [ticker for ticker in tickers if ticker not in failed]
    universe = Universe(tuple(work.universe[ticker] for ticker in judged), work.universe.file)
    rows = own.filter(pl.col("ticker").is_in(judged)).sort("ticker", "session", maintain_order=True)
    others = delivered.join(listed, on=["ticker", "source"], how="anti", maintain_order="left")
    compared = compare_returns(rows, others.filter(pl.col("source") == pl.col("source").first().over("ticker")))
    agreed = compared.filter(~pl.col("finding")).select("ticker", "session")
    verdict = judge_prices(rows, universe, asked, fetched_at=fetched_at, confirmed=agreed)
    accepted = TABLES["prices"].conform(verdict.accepted).sort("ticker", "session")
    scope = {"table": "prices"}
    work.lake.replace("quarantine", verdict.quarantined, keys=judged, window=asked, scope=scope)
    kept = compared.join(accepted, on=["ticker", "session"], how="semi")
    log = pl.concat([_inferred_log(accepted), findings_log(kept, primary="the universe's source", second="a second source")])
    log = log.select(list(TABLES["quality_log"].schema))
    for window in windows.values():
        year = work.known(window)
        good = [ticker for ticker in judged if (ticker, window.start.year) not in verdict.withheld]  # a withheld cell keeps what it had
        inside = pl.col("session").is_between(year.start, year.end, closed="left")
        work.lake.replace("prices", accepted.filter(inside), keys=good, window=year)
        work.lake.replace("quality_log", log.filter(inside), keys=good, window=year, scope=scope)
    withheld = {(ticker, str(year)): reason for (ticker, year), reason in verdict.withheld.items()}
    withheld |= {(ticker, key): reason for ticker, reason in failed.items() for key in windows}
    note(work, "prices", tickers, windows, run_id=run_id, withheld=withheld)
    figures = {
        "tickers": len(tickers),
        "quarantined_rows": verdict.quarantined.height,
        "inferred_actions": int(accepted["inferred"].sum()),
        "compared_sessions": compared.height,
        "disagreements": int(compared["finding"].sum()),
    }
    checks = [_gate_check(verdict), _agreement_check(compared), *judge_table("prices", accepted)]
    return StepResult(accepted, figures, checks, withheld)


def build_features(work: Workspace, tickers: Sequence[str], windows: Windows, *, run_id: str | None) -> StepResult:
    """Features of the windows; every bar since the listing must be there, since recursive features start at the first one."""
    asked = work.known(span(windows))
    needed = Window(work.history.start, asked.end)
    names = ready(work, tickers, {"prices": needed})
    _require_index(work, needed)
    prices = work.lake.scan("prices", keys=names.tickers, window=needed)
    rows = compute(prices, work.lake.scan("index_prices", window=needed), window=asked)
    rows = TABLES["features"].conform(rows)
    work.lake.replace("features", rows, keys=names.tickers, window=asked)
    withheld = names.withheld(list(windows))
    note(work, "features", tickers, windows, run_id=run_id, withheld=withheld, version=ALL_FEATURES)
    empty = rows.select(pl.col(list(CATALOG)).null_count() / max(rows.height, 1))
    figures = {
        "feature_set": feature_set_hash(MODEL_FEATURES),
        "features": len(CATALOG),
        "share_null": {name: round(share, 4) for name, share in empty.row(0, named=True).items()} if rows.height else {},
    }
    return StepResult(rows, figures, withheld=withheld)


def build_labels(work: Workspace, tickers: Sequence[str], windows: Windows, *, run_id: str | None) -> StepResult:
    """Labels of the windows, as known at `as_of`: a label whose end is still to come is null."""
    asked = work.known(span(windows))
    names = ready(work, tickers, {"prices": asked})
    # The longest closure since 1990 took 4 sessions out of a week: this holds the label_end of the last bar asked for.
    last_end = asked.end + dt.timedelta(days=14 + 2 * HORIZON_SESSIONS)
    calendar = session_table(Window(asked.start, last_end))
    prices = work.lake.scan("prices", keys=names.tickers, window=work.known(Window(work.history.start, last_end)))
    rows = forward_return_labels(prices, calendar, horizon=HORIZON_SESSIONS, as_of=work.as_of, window=asked)
    rows = TABLES["labels"].conform(rows)
    work.lake.replace("labels", rows, keys=names.tickers, window=asked)
    withheld = names.withheld(list(windows))
    note(work, "labels", tickers, windows, run_id=run_id, withheld=withheld)
    known = rows["label"].drop_nulls()
    figures = {"known_labels": known.len(), "base_rate": float(known.to_numpy().mean()) if known.len() else None}
    return StepResult(rows, figures, withheld=withheld)


def _require_index(work: Workspace, window: Window) -> None:
    expected = coverage.every_session(["sp500"], Window(max(window.start, work.history.start), window.end))
    missing = coverage.holes(expected, coverage.stored_sessions(work.lake, "index_prices", window))
    if not missing.is_empty():
        days = missing["session"].to_list()
        raise LakeError(
            f"index_prices: sp500 lacks {len(days)} sessions, {days[0]}..{days[-1]}",
            remedy="materialise index_prices for those years first",
        )


def _delivered(raw: Mapping[str, pd.DataFrame], *, settings: Settings, fetched_at: dt.datetime) -> pl.DataFrame:
    """All vendors' frames as rows of `prices`; none when no vendor has any of the names."""
    schema = TABLES["prices"].schema
    frames = [source_named(settings, "prices", name).normalise(frame, fetched_at=fetched_at) for name, frame in raw.items()]
    return pl.concat([pl.DataFrame(schema=schema), *(frame.select(list(schema)) for frame in frames)])


def _stored_beside(work: Workspace, rows: pl.DataFrame) -> pl.DataFrame:
    """The stored `prices` rows from the first session that was delivered on."""
    since: dt.date = min(rows["session"], default=work.history.start)
    names = rows["ticker"].unique().to_list()
    return work.lake.scan("prices", keys=names, window=Window(since, work.after_as_of)).collect()


def _inferred_log(rows: pl.DataFrame) -> pl.DataFrame:
    """The inferred corporate actions as rows of `quality_log`."""
    return rows.filter("inferred").select(
        pl.lit("prices").alias("table"),
        "ticker",
        "session",
        pl.when(pl.col("split_factor") != 1).then(pl.lit("split_factor")).otherwise(pl.lit("dividend")).alias("field"),
        pl.lit(None, dtype=pl.Float64).alias("original"),
        pl.when(pl.col("split_factor") != 1).then("split_factor").otherwise("dividend").alias("repaired"),
        pl.lit("inferred from the change of adjusted/raw close").alias("method"),
        pl.format("split factor {}, dividend {} USD", "split_factor", pl.col("dividend").round(6)).alias("evidence"),
    )


def _gate_check(verdict: Verdict) -> Findings:
    passed = not verdict.withheld
    told = (
        "every cell passed" if passed else f"{len(verdict.withheld)} (ticker, year) cells withheld: {next(iter(verdict.withheld.values()))}"
    )
    return Findings("gate", passed, told, rows=verdict.quarantined.select("ticker", "session", "field", "value", "reason"))


def _agreement_check(compared: pl.DataFrame) -> Findings:
    bad = compared.filter("finding")
    names = ", ".join(compared["ticker"].unique().sort()) or "no name"
    told = f"{names}: {compared.height} sessions in two sources, {bad.height} total returns differ by more than 1 %"
    return Findings("sources_agree", bad.is_empty(), told, rows=bad)
