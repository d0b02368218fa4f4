"""Steps of the history grid: index prices, prices behind their gate, labels. Features are in `features.py`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import polars as pl

from quant_assets.calendars import Window, session_table
from quant_assets.errors import NoData, SourceError
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets.lake import coverage
from quant_assets.membership import inside as within_lives
from quant_assets.models.terms import HORIZON_SESSIONS
from quant_assets.quality.doubts import doubts
from quant_assets.quality.findings import Findings
from quant_assets.quality.gate import Verdict, judge_prices
from quant_assets.quality.repair import BOUNDED, SHIFTED, repair_bars
from quant_assets.quality.restated import relevelled, restated
from quant_assets.quality.row_gate import finding, judge_rows
from quant_assets.quality.rulings import released
from quant_assets.schemas import TABLES
from quant_assets.settings import Settings
from quant_assets.sources import source_named, sources
from quant_assets.sources.base import LEFT, Repairing, Source
from quant_assets.sources.reconcile import compare_sources, findings_log
from quant_assets.sources.splice import choose, is_spliced
from quant_assets.steps.guard import note, ready
from quant_assets.steps.result import StepResult
from quant_assets.universe import Listing, Universe
from quant_assets.workspace import Workspace

Windows = Mapping[str, Window]
Door = Callable[[Source, pd.DataFrame], None]
"""Sees what a source fetched before it is normalised, and raises where that is not what it used to be."""


@dataclass(frozen=True)
class RawPrices:
    """frames : the vendors' own, by source name. failed : each name that its vendors did not deliver, with the reason.

    missed : each name of which another listed vendor has to do alone, with what those said that did not deliver.
    """

    frames: dict[str, pd.DataFrame]
    failed: Mapping[str, str] = field(default_factory=dict)
    missed: Mapping[str, str] = field(default_factory=dict)


def span(windows: Windows) -> Window:
    """The dates from the first window's start to the last one's end."""
    return Window(min(window.start for window in windows.values()), max(window.end for window in windows.values()))


def fetch_index_prices(work: Workspace, windows: Windows, *, door: Door | None = None) -> StepResult:
    """Fetches every index series of the profile for the windows and replaces them in the lake, but one with a row that cannot be true."""
    from quant_assets.quality.suites import judge_table  # Great Expectations imports for 2.6 s: only when there are new rows

    asked = work.known(span(windows))
    parts = []
    for source in sources(work.settings, "index_prices"):
        raw = source.fetch(sorted(source.offers()), asked)
        if door:
            door(source, raw)
        parts.append(source.normalise(raw, fetched_at=work.clock()))
    table = TABLES["index_prices"]
    judged = judge_rows(table.name, table.conform(pl.concat(parts).select(list(table.schema))).sort(table.sort_order))
    rows, series = judged.accepted, sorted({key for source in sources(work.settings, table.name) for key in source.offers()})
    work.lake.replace("index_prices", rows, keys=[key for key in series if key not in judged.withheld], window=asked)
    work.lake.replace("quarantine", judged.quarantined, keys=series, window=asked, scope={"table": "index_prices"})
    withheld = {(coverage.ALL, key): reason for key in windows for reason in judged.withheld.values()}
    return StepResult(rows, checks=[finding([judged]), *judge_table(table.name, rows)], withheld=withheld)


def fetch_raw_prices(work: Workspace, tickers: Sequence[str], windows: Windows) -> RawPrices:
    """The vendors' own frames: those of each ticker's listed sources, and of any other that costs no request.

    A source is asked for one name after the other, and a name that it does not deliver does not stop the others.
    """
    asked = work.known(span(windows))
    listings = {ticker: work.universe[ticker] for ticker in tickers}
    parts: dict[str, list[pd.DataFrame]] = {}
    silent: dict[str, dict[str, str]] = {}
    for source in sources(work.settings, "prices"):
        mine = [ticker for ticker in tickers if source.name in listings[ticker].sources or source.policy is None]
        offered = source.offers(mine)
        for ticker in mine:
            vendors = listings[ticker].sources
            try:
                if ticker in offered:
                    window = _all_of(work, listings[ticker], asked) if is_spliced(vendors) else asked
                    frame = source.fetch([ticker], window)
                    parts.setdefault(source.name, []).append(frame)
                elif len(vendors) > 1:
                    raise NoData(f"{source.name} does not have {ticker}", remedy="name another source")
            except SourceError as error:
                if source.name in vendors:
                    silent.setdefault(ticker, {})[source.name] = str(error)
    frames = {name: pd.concat(found, ignore_index=True) for name, found in parts.items()}
    lost = {ticker for ticker, said in silent.items() if is_spliced(listings[ticker].sources) or len(said) == len(listings[ticker].sources)}
    told = {ticker: " ".join(said.values()) for ticker, said in silent.items()}
    return RawPrices(
        frames,
        {ticker: why for ticker, why in told.items() if ticker in lost},
        {ticker: why for ticker, why in told.items() if ticker not in lost},
    )


def store_prices(work: Workspace, tickers: Sequence[str], windows: Windows, raw: RawPrices, *, run_id: str | None) -> StepResult:
    """Normalises, reconciles, judges; stores the good cells and the quarantine, and says which cells are withheld.

    A withheld cell keeps the rows that an earlier night let in.
    """
    from quant_assets.quality.suites import judge_table  # as in fetch_index_prices

    asked = work.known(span(windows))
    fetched_at = work.clock()
    delivered, mended = _delivered(raw.frames, settings=work.settings, fetched_at=fetched_at)
    listings = {ticker: work.universe[ticker] for ticker in tickers}
    named = [(ticker, source) for ticker, known in listings.items() for source in known.sources]
    listed = pl.DataFrame(named, schema={"ticker": pl.String, "source": pl.String}, orient="row")
    own = within_lives(delivered.join(listed, on=["ticker", "source"]), coverage.listings(work.universe, tickers))
    chosen = choose(
        own.filter(~pl.col("ticker").is_in(list(raw.failed))), {name: listings[name].sources for name in tickers if name not in raw.failed}
    )
    bars = _with_the_bar_before(chosen.rows, asked)
    failed = {
        **raw.failed,
        **chosen.refused,
        **restated(bars, _stored_beside(work, bars)),
        **relevelled(bars, _adjusted(work, bars), asked),
    }
    judged = [ticker for ticker in tickers if ticker not in failed]
    universe = Universe(tuple(listings[ticker] for ticker in judged), work.universe.file)
    repaired = repair_bars(bars.filter(pl.col("ticker").is_in(judged)).sort("ticker", "session", maintain_order=True))
    rows = repaired.rows
    compared = compare_sources(rows, delivered)
    agreed = compared.filter(pl.col("field") == "total_return", ~pl.col("finding")).select("ticker", "session")
    let_in = released(work.lake, judged, asked)
    verdict = judge_prices(rows, universe, asked, fetched_at=fetched_at, confirmed=agreed, released=let_in)
    accepted = TABLES["prices"].conform(verdict.accepted).sort("ticker", "session")
    scope = {"table": "prices"}
    work.lake.replace("quarantine", verdict.quarantined, keys=judged, window=asked, scope=scope)
    mine = mended.join(accepted, on=["ticker", "session", "source"], how="semi").drop("source")
    stands = pl.concat([mine, repaired.log, _inferred_log(accepted), findings_log(compared)])
    log = _one_a_field(stands.join(accepted, on=["ticker", "session"], how="semi"))
    for window in windows.values():
        year = work.known(window)
        good = [ticker for ticker in judged if (ticker, window.start.year) not in verdict.withheld]  # a withheld cell keeps what it had
        inside = pl.col("session").is_between(year.start, year.end, closed="left")
        work.lake.replace("prices", accepted.filter(inside), keys=good, window=year)
        work.lake.replace("quality_log", log.filter(inside), keys=good, window=year, scope=scope)
    missed = {ticker: f" ({why})" for ticker, why in raw.missed.items()}
    withheld = {(ticker, str(year)): reason + missed.get(ticker, "") for (ticker, year), reason in verdict.withheld.items()}
    withheld |= {(ticker, key): reason for ticker, reason in failed.items() for key in windows}
    note(work, "prices", tickers, windows, run_id=run_id, withheld=withheld)
    figures = {
        "tickers": len(tickers),
        "quarantined_rows": verdict.quarantined.height,
        "repaired_prices": log.filter(pl.col("method").str.contains_any([SHIFTED, BOUNDED])).height,
        "repaired_by_record": mine.filter(~pl.col("method").str.starts_with(LEFT)).height,
        "inferred_actions": int(accepted["inferred"].sum()),
        "compared_sessions": compared.select("ticker", "session").n_unique(),
        "disagreements": int(compared["finding"].sum()),
        "missed": list(raw.missed.values()),
    }
    checks = [_gate_check(verdict), _agreement_check(compared, raw.missed), *judge_table("prices", accepted), doubts("prices", accepted)]
    return StepResult(accepted, figures, checks, withheld)


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


def _delivered(raw: Mapping[str, pd.DataFrame], *, settings: Settings, fetched_at: dt.datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All vendors' frames as rows of `prices`, none when no vendor has any of the names; and what their own records prove wrong in them, as
    rows of `quality_log` with the source.
    """
    schema, log = TABLES["prices"].schema, TABLES["quality_log"].schema
    frames, logs = [pl.DataFrame(schema=schema)], [pl.DataFrame(schema={**log, "source": pl.String})]
    for name, frame in raw.items():
        source = source_named(settings, "prices", name)
        if isinstance(source, Repairing):
            repaired = source.repaired(frame, fetched_at=fetched_at)
            frames.append(repaired.rows.select(list(schema)))
            logs.append(repaired.log.with_columns(source=pl.lit(name)))
        else:
            frames.append(source.normalise(frame, fetched_at=fetched_at).select(list(schema)))
    return pl.concat(frames), pl.concat(logs)


def _all_of(work: Workspace, listing: Listing, asked: Window) -> Window:
    """Everything since the listing, up to what is asked for."""
    return Window(min(asked.start, max(work.history.start, listing.listed)), asked.end)


def _with_the_bar_before(rows: pl.DataFrame, asked: Window) -> pl.DataFrame:
    """Those of the window, and of each name the last session before it."""
    early = pl.col("session") < asked.start
    last = rows.filter(early).group_by("ticker").agg(pl.col("session").max())
    return pl.concat([rows.filter(early).join(last, on=["ticker", "session"], how="semi"), rows.filter(~early)])


def _stored_beside(work: Workspace, rows: pl.DataFrame) -> pl.DataFrame:
    """The stored `prices` rows from the first session that was delivered on."""
    since: dt.date = min(rows["session"], default=work.history.start)
    names = rows["ticker"].unique().to_list()
    return work.lake.scan("prices", keys=names, window=Window(since, work.after_as_of)).collect()


def _adjusted(work: Workspace, rows: pl.DataFrame) -> pl.DataFrame:
    """All stored `prices` rows of the names whose prices are adjusted."""
    names = rows.filter(pl.col("price_basis") == "adjusted")["ticker"].unique().to_list()
    return work.lake.scan("prices", keys=names).collect()


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


def _one_a_field(log: pl.DataFrame) -> pl.DataFrame:
    """Rows of `quality_log`: what is said of one value in one row, the repair first."""
    key = list(TABLES["quality_log"].key)
    told = log.group_by(key, maintain_order=True).agg(
        pl.col("original", "repaired").first(), pl.col("method").str.join("; "), pl.col("evidence").str.join("; ")
    )
    return told.select(list(TABLES["quality_log"].schema))


def _gate_check(verdict: Verdict) -> Findings:
    passed = not verdict.withheld
    told = (
        "every cell passed" if passed else f"{len(verdict.withheld)} (ticker, year) cells withheld: {next(iter(verdict.withheld.values()))}"
    )
    return Findings("gate", passed, told, rows=verdict.quarantined.select("ticker", "session", "field", "value", "reason"))


def _agreement_check(compared: pl.DataFrame, missed: Mapping[str, str]) -> Findings:
    bad, names = compared.filter("finding"), ", ".join(compared["ticker"].unique().sort()) or "no name"
    n_sessions = compared.select("ticker", "session").n_unique()
    n_returns, n_closes = (bad.filter(field=name).height for name in ("total_return", "close"))
    closes = f" and {n_closes} closes as traded" if n_closes else ""
    alone = "".join(f"; {why}" for why in missed.values())
    told = f"{names}: {n_sessions} sessions in two sources, {n_returns} total returns{closes} differ by more than 1 %{alone}"
    return Findings("sources_agree", bad.is_empty() and not missed, told, rows=bad)
