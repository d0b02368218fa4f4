"""`quant-assets doctor`: what is installed, what is stored, what is missing, each with what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from quant_assets.calendars import Window
from quant_assets.cli.app import app, print_json, screen
from quant_assets.cli.options import Json, ProfileName, settings_for
from quant_assets.errors import QuantAssetsError
from quant_assets.lake import Lake
from quant_assets.models.terms import MODEL_NAME
from quant_assets.settings import Settings
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from quant_assets.sources.health import VendorHealth

PACKAGES = ("dagster", "polars", "duckdb", "xgboost", "mlflow", "great-expectations", "TA-Lib", "polars-talib")
VENDOR_KEYS = (
    "ANTHROPIC_API_KEY",
    "ALPHA_VANTAGE_KEY",
    "FRED_API_KEY",
    "NEWS_API_KEY",
    "ALPACA_API_KEY",
    "ALPACA_SECRET_KEY",
    "FINNHUB_API_KEY",
    "MASSIVE_API_KEY",
    "TIINGO_API_KEY",
    "KAGGLE_USERNAME",
    "KAGGLE_KEY",
)
FREE_GB = 2


@dataclass(frozen=True)
class Finding:
    """`state` is ok, note (nothing to do) or fault (exit 1)."""

    name: str
    state: Literal["ok", "note", "fault"]
    detail: str


@app.command()
def doctor(profile: ProfileName = None, as_json: Json = False) -> None:
    """Check the installation, the stores and the settings; never shows a key."""
    settings = settings_for(profile)
    findings = [*_installation(), *_folders(settings), *_stores(settings), _alerts(settings), *_sources(settings), *_keys()]
    if as_json:
        print_json({"items": [asdict(finding) for finding in findings]})
    else:
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for title in ("", "Check", "Found"):
            table.add_column(title, overflow="fold")
        for finding in findings:
            table.add_row(finding.state, finding.name, escape(finding.detail))
        screen.print(table)
    raise typer.Exit(1 if any(finding.state == "fault" for finding in findings) else 0)


def _installation() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Finding("python", "ok" if supported else "fault", version if supported else f"{version}; 3.11 to 3.13 are supported")
    for package in PACKAGES:
        try:
            yield Finding(package, "ok", importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(package, "fault", "not installed; run `make install`")


def _folders(settings: Settings) -> Iterator[Finding]:
    yield Finding("home", "ok", str(settings.home))
    for folder in (settings.paths.data, settings.paths.outputs, settings.paths.mlflow, settings.paths.logs):
        path = settings.path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
            yield Finding(f"folder {folder}", "ok", "writable")
        except OSError as error:
            yield Finding(f"folder {folder}", "fault", f"{path} cannot be written ({error.strerror}); make it writable or set paths")
    free = shutil.disk_usage(settings.home).free / 1e9
    yield Finding("disk", "ok" if free > FREE_GB else "fault", f"{free:.0f} GB free (at least {FREE_GB})")


def _stores(settings: Settings) -> Iterator[Finding]:
    try:
        work = Workspace.open(settings)
        yield Finding("universe", "ok", f"{len(work.universe.tickers)} names in {work.universe.file}")
        work.lake.check(pages=True)
        tables = work.lake.tables()
        stored = [f"{table} {work.lake.scan(table, window=_always(work)).collect().height:,}" for table in tables]
        yield Finding("lake", "ok" if tables else "note", ", ".join(stored) or "empty; `quant-assets run` fills it")
        yield from _models(work)
    except QuantAssetsError as error:
        yield Finding("lake", "fault", str(error))


def _models(work: Workspace) -> Iterator[Finding]:
    from quant_assets.steps.models import registry, trained_at  # imports MLflow

    if not work.lake.tables():
        return
    trainings = work.lake.scan("model_runs", window=work.out_of_sample, scope={"model": MODEL_NAME})
    newest = trainings.select(pl.col("cutoff").max()).collect().item()
    try:
        trained = trained_at(work, newest or work.cutoff)
        models = registry(work)
        models.load(trained["model_run_id"])
        older = "" if newest == work.cutoff else f"; `quant-assets run` trains that of {work.cutoff}"
        where = models.tracking.shown if work.settings.models.tracking_uri else f"{work.settings.paths.mlflow}/"
        yield Finding("models", "note" if older else "ok", f"the model of {newest} loads from {where}{older}")
        if waiting := models.waiting():
            yield Finding("tracking", "note", waiting)
    except QuantAssetsError as error:
        yield Finding("models", "fault", str(error))


def _always(work: Workspace) -> Window:
    return Window(work.settings.grids.history_start, work.after_as_of)


def _alerts(settings: Settings) -> Finding:
    from quant_assets.alert_channels import WEBHOOK_VARIABLE, channels  # imports what speaks HTTP and SMTP

    told = [channel.name for channel in channels(settings.alerts)]
    ways = {"webhook": WEBHOOK_VARIABLE, "e-mail": "alerts.email_to"}
    unset = [f"{name} ({setting})" for name, setting in ways.items() if name not in told]
    return Finding("alerts", "note", f"failed runs are told by {', '.join(told)}" + (f"; not set: {', '.join(unset)}" if unset else ""))


def _sources(settings: Settings) -> Iterator[Finding]:
    from quant_assets.sources import every_source
    from quant_assets.sources.health import vendors_of

    try:
        inside = [each for each in every_source(settings) if each.policy is None]
        for each in inside:
            folder = getattr(each, "folder", None)
            where = f"from files in {folder}" if folder else "inside a package"
            yield Finding(f"source {each.name}", "ok", f"{each.table}, {where}")
        yield from (_vendor(each) for each in vendors_of(settings, Lake(settings.lake_root)))
    except QuantAssetsError as error:
        yield Finding("sources", "fault", str(error))


def _vendor(found: VendorHealth) -> Finding:
    policy, status = found.policy, found.status
    title = f"source {policy.vendor}"
    if policy.lacks:
        return Finding(title, "note", f"not configured: {policy.lacks} is not set; would fill {', '.join(found.fetched)}")
    key = f"{policy.key_variable} set" if policy.key_variable else "needs no key"
    reach = f"cannot be reached: its server {found.unreachable}" if found.unreachable else "reachable"
    left = "no daily limit" if status.budget_left is None else f"{status.budget_left} left"
    spared = f", not asked again before {status.breaker_until:%H:%M:%S} UTC" if status.breaker_until else ""
    newest = ", ".join(f"{table} {f'of {at:%Y-%m-%d %H:%M} UTC' if at else 'not yet'}" for table, at in found.fetched.items())
    detail = f"{key}; {reach}; {status.requests_today} requests today, {left}; breaker {status.breaker}{spared}; fetched: {newest}"
    return Finding(title, "fault" if found.unreachable or status.breaker != "closed" else "ok", detail)


def _keys() -> Iterator[Finding]:
    for state, is_set in (("set", True), ("not configured", False)):
        names = [name for name in VENDOR_KEYS if bool(os.environ.get(name)) is is_set]
        if names:
            yield Finding(f"keys {state}", "note", ", ".join(names))
