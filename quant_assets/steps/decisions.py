"""Steps of one session: the signal, the verdict in words, and the ranked report."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from quant_assets.calendars import Window, day_window
from quant_assets.decisions.signal import band, ranked, rule_of
from quant_assets.decisions.synthesis import write_by_rules
from quant_assets.demand import demand
from quant_assets.errors import BadArgument
from quant_assets.freshness import stale_inputs
from quant_assets.lake.coverage import ALL
from quant_assets.models.pooled import content_hash, score_interval
from quant_assets.models.terms import MIN_HISTORY_SESSIONS, MODEL_NAME
from quant_assets.planning import DECIDING, losses, reasons
from quant_assets.schemas import TABLES
from quant_assets.steps.features import feature_rows
from quant_assets.steps.guard import note, ready
from quant_assets.steps.models import registry, trained_at
from quant_assets.steps.records import skill_of
from quant_assets.steps.result import StepResult
from quant_assets.universe import Listing
from quant_assets.workspace import Workspace

Windows = Mapping[str, Window]
SHORT_HISTORY = "too little history"
NO_OPTIONS = "n/a (no option chain in profile {})"


def decide(work: Workspace, tickers: Sequence[str], windows: Windows, *, run_id: str | None) -> StepResult:
    """The signal of each session from its out-of-sample score, with the interval of the cut-off's bootstrap members.

    Nothing is decided on a session without a sound `leak_proof`.
    """
    parts = [pl.DataFrame(schema=TABLES["signal"].schema)]
    withheld: dict[tuple[str, str], str] = {}
    in_order = nights(work, windows)
    unproven = _unproven(work, in_order[0].as_of)
    for night in in_order:
        session, day = night.as_of, day_window(night.as_of)
        if session in unproven:
            withheld |= {(ticker, session.isoformat()): unproven[session] for ticker in tickers}
            continue
        names = ready(work, night.decidable(tickers), dict.fromkeys(("prices", "features", "oos_predictions"), day))
        rows = _caveats(night, _signals(night, names.tickers, day))
        work.lake.replace("signal", rows, keys=names.tickers, window=day)
        withheld |= names.withheld([session.isoformat()])
        parts.append(rows)
    note(work, "signal", tickers, windows, run_id=run_id, withheld=withheld, spans=work.eligible(tickers))
    decided = pl.concat(parts)
    bands = dict(decided.drop_nulls("signal").group_by("signal").len().sort("signal").iter_rows())
    return StepResult(decided, {"bands": bands}, withheld=withheld)


def synthesise(work: Workspace, tickers: Sequence[str], windows: Windows, *, run_id: str | None) -> StepResult:
    """The verdict on each signal, by the rules writer."""
    spec = TABLES["trade_synthesis"]
    parts: list[pl.DataFrame] = []
    withheld: dict[tuple[str, str], str] = {}
    for night in nights(work, windows):
        session, day = night.as_of, day_window(night.as_of)
        names = ready(work, night.decidable(tickers), {"signal": day})
        skill = skill_of(night)
        signals = work.lake.scan("signal", keys=names.tickers, window=day).sort("ticker").collect()
        written = [write_by_rules(row, skill, threshold=work.settings.signal.score_threshold) for row in signals.iter_rows(named=True)]
        rows = spec.conform(pl.DataFrame([one.model_dump() | {"risks": list(one.risks)} for one in written], schema=spec.schema))
        work.lake.replace("trade_synthesis", rows, keys=names.tickers, window=day)
        withheld |= names.withheld([session.isoformat()])
        parts.append(rows)
    note(work, "trade_synthesis", tickers, windows, run_id=run_id, withheld=withheld, spans=work.eligible(tickers))
    return StepResult(pl.concat(parts), withheld=withheld)


def rank_session(work: Workspace, windows: Windows) -> StepResult:
    """All names of each session, those that could be decided on ranked by score; a name without a decision is listed with the reason."""
    spec = TABLES["daily_report"]
    parts = []
    for night in nights(work, windows):
        session, day = night.as_of, day_window(night.as_of)
        names, decided = _absences(night), night.decidable(night.universe.tickers)
        signals = work.lake.scan("signal", keys=decided, window=day).drop("session").collect()
        verdicts = work.lake.scan("trade_synthesis", keys=decided, window=day).select("ticker", "verdict", "confidence").collect()
        joined = names
        for part in (signals, verdicts, _failures(night)):
            joined = joined.join(part, on="ticker", how="left")
        status = pl.coalesce("absent", "status", pl.lit("failed"))
        told = pl.coalesce("reason", "failure", pl.lit("no decision was made for this session; run again"))
        options = pl.lit(NO_OPTIONS.format(work.settings.profile))
        absent = pl.format("n/a ({})", status)
        rows = joined.select(
            "ticker",
            pl.lit(session).alias("session"),
            ranked(pl.col("score")).alias("rank"),
            "signal",
            "score",
            "base_rate",
            "ci_low",
            "ci_high",
            options.alias("iv_risk"),
            options.alias("top_option"),
            pl.col("verdict").fill_null(absent),
            pl.col("confidence").fill_null(absent),
            status.alias("status"),
            pl.when(pl.col("absent").is_not_null())
            .then("why")
            .when(pl.col("status") == "ok")
            .then(pl.col("reason"))
            .otherwise(told)
            .alias("reason"),
        ).sort("rank", "ticker", nulls_last=True)
        rows = spec.conform(rows)
        work.lake.replace("daily_report", rows, keys=None, window=day)
        parts.append(rows)
    report = pl.concat(parts)
    return StepResult(
        report, {"ranked": report["rank"].drop_nulls().len(), "statuses": dict(report.group_by("status").len().sort("status").iter_rows())}
    )


def nights(work: Workspace, windows: Windows) -> list[Workspace]:
    """The workspace as of each session asked for: a decision of an earlier session sees no more than that session did.

    Raises
    ------
    BadArgument : a session after `as_of`.
    """
    sessions = sorted(window.start for window in windows.values())
    if sessions[-1] > work.as_of:
        raise BadArgument(f"session {sessions[-1]} is after {work.as_of}, the last known one", remedy="ask for an earlier session")
    return [dataclasses.replace(work, as_of=session) for session in sessions]


def _unproven(work: Workspace, since: dt.date) -> dict[dt.date, str]:
    """The sessions from that one on which have no proof, or one that found a leak, with the reason."""
    lacking: list[dt.date] = demand("leak_proof", work, (), since=since).holes["first"].to_list()
    leaks = work.lake.scan("leak_proof", window=Window(since, work.after_as_of)).filter(pl.col("differing") > 0)
    found = dict(leaks.group_by("session").agg(pl.first("example")).collect().iter_rows())
    absent = "{0} has no proof that nothing it reads has seen the future; materialise leak_proof of {0} first"
    return {day: found.get(day, absent.format(day)) for day in lacking}


def _absences(night: Workspace) -> pl.DataFrame:
    """ticker, absent, why: each name of the universe; null where it could be decided on."""
    session, decided = night.as_of, set(night.decidable(night.universe.tickers))

    def absence(known: Listing) -> tuple[str | None, str | None]:
        if known.listed > session:
            return "not listed yet", f"first session {known.listed}"
        if known.delisted and known.delisted < session:
            return "delisted", f"last session {known.delisted}"
        return (None, None) if known.ticker in decided else ("not a member", "not a member on this session")

    rows = [(known.ticker, *absence(known)) for known in night.universe.listings]
    return pl.DataFrame(rows, schema={"ticker": pl.String, "absent": pl.String, "why": pl.String}, orient="row")


def _signals(night: Workspace, tickers: Sequence[str], day: Window) -> pl.DataFrame:
    spec = TABLES["signal"]
    scored = night.lake.scan("oos_predictions", keys=tickers, window=day, scope={"model": MODEL_NAME}).collect()
    features = feature_rows(night, night.model_features, day, tickers=tickers)
    closes = night.lake.scan("prices", keys=tickers, window=day).select(
        "ticker", close=pl.when(pl.col("price_basis") == "raw").then(pl.col("close"))
    )
    bars = night.lake.scan("prices", keys=tickers, window=night.history).group_by("ticker").agg(stored=pl.len()).collect()
    trained = trained_at(night, night.cutoff)
    with_score = scored.drop_nulls("score").select("ticker")
    intervals = _intervals(night, trained["model_run_id"], features.join(with_score, on="ticker"))
    rows = (
        scored.join(closes.collect(), on="ticker")
        .join(bars, on="ticker")
        .join(intervals, on="ticker", how="left")
        .join(_input_hashes(features), on="ticker")
    )
    short = pl.col("score").is_null()
    reason = pl.format(f"{SHORT_HISTORY}: {{}} sessions stored, {MIN_HISTORY_SESSIONS} are needed", "stored")
    return spec.conform(
        rows.select(
            "ticker",
            "session",
            pl.when(short).then(pl.lit(SHORT_HISTORY)).otherwise(pl.lit("ok")).alias("status"),
            pl.when(short).then(reason).alias("reason"),
            "score",
            pl.when(~short).then("base_rate").alias("base_rate"),
            band(pl.col("score"), night.settings.signal).alias("signal"),
            "ci_low",
            "ci_high",
            "close",
            "model_run_id",
            "cutoff",
            pl.lit(trained["feature_set"]).alias("feature_set"),
            "inputs_hash",
            rule=pl.lit(rule_of(night.settings.signal)),
        )
    )


def _caveats(night: Workspace, rows: pl.DataFrame) -> pl.DataFrame:
    """A decision on stale input says so beside its score."""
    stale = stale_inputs(night, rows["ticker"].to_list())
    caveat = pl.col("ticker").replace_strict(stale, default=None, return_dtype=pl.String)
    return rows.with_columns(pl.coalesce("reason", caveat).alias("reason"))


def _intervals(night: Workspace, run_id: str, rows: pl.DataFrame) -> pl.DataFrame:
    """ticker, ci_low, ci_high; null where the cut-off keeps no bootstrap members."""
    members = registry(night).load(run_id).members
    empty = pl.lit(None, dtype=pl.Float64)
    if not members or rows.is_empty():
        return rows.select("ticker", ci_low=empty, ci_high=empty)
    limits = score_interval(members, rows, features=night.model_features)
    return rows.select("ticker").with_columns(ci_low=pl.Series(limits[:, 0]), ci_high=pl.Series(limits[:, 1]))


def _input_hashes(features: pl.DataFrame) -> pl.DataFrame:
    hashes = [(ticker, content_hash(row)) for (ticker,), row in features.group_by("ticker", maintain_order=True)]
    return pl.DataFrame(hashes, schema={"ticker": pl.String, "inputs_hash": pl.String}, orient="row")


def _failures(night: Workspace) -> pl.DataFrame:
    """ticker, failure: why each name without a decision has none, as far as a phase before the decision is to blame."""
    names = night.universe.tickers
    lost = losses(night, DECIDING[:-1], decide=names)
    told = reasons(night, lost)
    stopped = told.pop(ALL, None)
    rows = [(name, told.get(name, stopped)) for name in names if told.get(name, stopped)]
    return pl.DataFrame(rows, schema={"ticker": pl.String, "failure": pl.String}, orient="row")
