"""One job a phase of the night, each on one grid. Their order and what each still has to do is `planning.py`'s business."""

from __future__ import annotations

import dagster as dg

from quant_assets import gathered
from quant_assets.planning import ON_REQUEST, WAREHOUSE, Phase, phases
from quant_assets.settings import Settings

ASSETS = {
    "indices": ("index_prices",),
    "prices": ("prices",),
    "features": ("features", "labels"),
    "cross_section": ("cross_section_features",),
    "train": ("pooled_model",),
    "train_each": ("xgboost_model",),
    "predict": ("oos_predictions",),
    "predict_each": ("own_predictions",),
    "backtest": ("backtest",),
    "portfolio": ("portfolio_backtest", "signal_quality", "threshold_sweep"),
    "proof": ("leak_proof",),
    "scorecard": ("quality_scorecard",),
    "decide": ("signal", "trade_synthesis"),
    "report": ("daily_report",),
}
"""The assets of each phase; the warehouse's are its group, those of facts have the names of their tables."""


def job_name(phase: Phase) -> str:
    """Jobs and assets share one name space in Dagster, and an asset is called backtest."""
    return f"{phase.name}_phase"


def phase_jobs(settings: Settings) -> list[dg.UnresolvedAssetJobDefinition]:
    """The jobs of the night, in order, then those that only somebody asks for."""
    jobs = []
    for place, phase in enumerate(phases(settings), start=1):
        names = ASSETS.get(phase.name) or [table for table in gathered.offered(settings) if table in phase.tables]
        selection = dg.AssetSelection.groups(phase.name) if phase is WAREHOUSE else dg.AssetSelection.assets(*names)
        jobs.append(dg.define_asset_job(job_name(phase), selection=selection, description=f"Phase {place} of the night: {phase.name}."))
    for after, phase in ON_REQUEST.items():
        chosen = dg.AssetSelection.assets(*ASSETS[phase.name])
        jobs.append(dg.define_asset_job(job_name(phase), selection=chosen, description=f"On request, as {after}: of each name alone."))
    return jobs
