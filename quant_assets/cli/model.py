"""`quant-assets model`: what has been trained, and how it has done out of sample."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from quant_assets.cli.app import app, print_json, screen
from quant_assets.cli.options import Json, ProfileName, settings_for
from quant_assets.reporting import wording
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from quant_assets.models.model_listing import ListedModel
    from quant_assets.validation.skill import Skill

group = typer.Typer(help="What has been trained, and how it has done.", no_args_is_help=True)
app.add_typer(group, name="model")


@group.callback()
def _model() -> None:
    """What has been trained, and how it has done."""


@group.command("list")
def list_models(
    every: Annotated[bool, typer.Option("--all", help="Past cut-offs too, which are runs and not registered.")] = False,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """List the registered models with their record: the AUC of all that each has scored out of sample, at any cut-off."""
    warnings.filterwarnings("ignore")  # third parties' deprecations: ours are errors in the tests
    work = Workspace.open(settings_for(profile))
    from quant_assets.models.model_listing import registered, unregistered  # MLflow: after the arguments have proved sensible
    from quant_assets.steps.models import registry

    tracking = registry(work).tracking
    listed, past = registered(tracking), unregistered(tracking)
    skills = _skills(work, {model.model for model in listed} | ({model.model for model in past} if every else set()))
    shown = [*listed, *past] if every else listed
    if as_json:
        print_json({"items": [_item(model, skills.get(model.model)) for model in shown]})
        return
    if not shown:
        screen.print("Nothing has been trained yet; `quant-assets train` trains the running quarter's model.", soft_wrap=True)
        return
    screen.print(_table(shown, skills))
    if past and not every:
        screen.print(f"{wording.count(len(past), 'past cut-off')} beside them; --all lists those too.", soft_wrap=True)


def _skills(work: Workspace, models: set[str]) -> dict[str, Skill]:
    from quant_assets.steps.records import skill_of

    return {model: skill_of(work, model) for model in sorted(models)}


def _item(model: ListedModel, skill: Skill | None) -> dict[str, Any]:
    told = ("n_rows", "auc", "auc_low", "auc_high", "log_loss", "base_log_loss", "rank_ic", "rank_ic_low", "rank_ic_high")
    record = {name: getattr(skill, name, None) for name in told}
    return {**dataclasses.asdict(model), "out_of_sample": record}


def _table(models: list[ListedModel], skills: dict[str, Skill]) -> Table:
    """What fits 80 columns; run ids, rows and times are in `--json`."""
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    shown.add_column("Model", no_wrap=True)
    shown.add_column("Version", min_width=11)  # `1 @challenger` in two lines
    shown.add_column("Cut-off", no_wrap=True)
    for title in ("Held\nAUC", "Scores", "Out of\nsample", "95 %"):
        shown.add_column(title, justify="right", no_wrap=True)
    told = set()
    for model in models:
        skill = None if model.model in told else skills.get(model.model)  # it is of all cut-offs: said once
        told.add(model.model)
        version = " ".join([model.version or "", *(f"@{alias}" for alias in model.aliases)])
        interval = wording.interval(skill.auc_low, skill.auc_high).replace(" to ", "-") if skill else ""
        record = (f"{skill.n_rows:,}", wording.number(skill.auc), interval) if skill else ()
        shown.add_row(model.model, version, str(model.cutoff or ""), wording.number(model.validation_auc), *record)
    return shown
