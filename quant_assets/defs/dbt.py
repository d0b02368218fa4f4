"""dbt as Dagster sees it: the parsed project, where its models stand in the lineage, and one `dbt build` with its events.

The project is `dbt_features/`; which file is built, and when it takes the old one's place, is `warehouse.py`'s business.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliInvocation
from filelock import FileLock
from packaging.version import Version

from quant_assets.defs.materialise import OFFENDING_ROWS, preview
from quant_assets.defs.partitions import ACROSS_TICKERS, EVERYTHING, in_time
from quant_assets.errors import QuantAssetsError
from quant_assets.gathered import COMPANIES, ECONOMY
from quant_assets.warehouse import PROJECT, Building, project_fingerprint

GROUP = "warehouse"
"""The group of the models, and the first part of their asset keys."""
WRITERS = {
    "model_runs": ("pooled_model", "xgboost_model"),
    "oos_predictions": ("oos_predictions", "own_predictions"),
    "equity": ("backtest", "portfolio_backtest"),
    "trades": ("backtest", "portfolio_backtest"),
    "feature_gaps": ("features",),
    "quality_log": ("prices",),
    "quarantine": ("prices",),
}
"""The assets that write a table, where they are not called as it is."""
BY_TICKER_AND_YEAR = ("prices", "features", "feature_gaps", "labels", "quality_log", "quarantine", *COMPANIES)
BY_YEAR = ("index_prices", "cross_section_features", *ECONOMY)


class WarehouseTranslator(DagsterDbtTranslator):
    """Models are assets `warehouse/<model>` on the year grid; sources are the assets that write the table."""

    def __init__(self) -> None:
        # The assets that write a table say themselves what it holds.
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True, enable_source_metadata=False))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        name = dbt_resource_props["name"]
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey(WRITERS.get(name, (name,))[0])
        return dg.AssetKey([GROUP, name])

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: Any) -> dg.AssetSpec:
        """A table that two assets write depends on both: dbt knows one source, Dagster's translator one key for it."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        tables = [each.split(".")[-1] for each in self.get_resource_props(manifest, unique_id).get("depends_on", {}).get("nodes", [])]
        keys = {dep.asset_key for dep in spec.deps}
        more = [dg.AssetKey(writer) for table in tables if table in WRITERS for writer in WRITERS[table][1:]]
        deps = [dg.AssetDep(key, partition_mapping=EVERYTHING) for key in more if key not in keys]
        return spec.replace_attributes(deps=[*spec.deps, *deps]) if deps else spec

    def get_partition_mapping(
        self, dbt_resource_props: Mapping[str, Any], dbt_parent_resource_props: Mapping[str, Any]
    ) -> dg.PartitionMapping | None:
        if dbt_parent_resource_props["resource_type"] != "source":
            return in_time()
        table = dbt_parent_resource_props["name"]
        return ACROSS_TICKERS if table in BY_TICKER_AND_YEAR else in_time() if table in BY_YEAR else EVERYTHING

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return GROUP

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props["description"])


def manifest_file() -> Path:
    """The parsed project, from the folder `target` beside it; parsed anew (some seconds) when the project or dbt has changed.

    Raises
    ------
    QuantAssetsError : dbt cannot parse the project, or the folder cannot be written.
    """
    key = f"{project_fingerprint()[:16]}-{version('dbt-core')}-{version('dbt-duckdb')}"
    parsed = PROJECT / "target" / f"manifest-{key}.json"
    if parsed.is_file():
        return parsed
    try:
        parsed.parent.mkdir(exist_ok=True)
        with FileLock(parsed.parent / "manifest.lock"), tempfile.TemporaryDirectory(dir=parsed.parent) as folder:
            if not parsed.is_file():  # another process may have been faster
                _parse(Path(folder))
                for old in parsed.parent.glob("manifest-*.json"):
                    old.unlink()
                (Path(folder) / "manifest.json").replace(parsed)
    except OSError as failure:
        raise QuantAssetsError(
            f"{parsed.parent} cannot be written ({failure.strerror})", remedy="make it writable, then try again"
        ) from failure
    return parsed


def _parse(folder: Path) -> None:
    command = [dbt_executable(), "--no-use-colors", "parse", "--no-partial-parse"]
    done = subprocess.run(command, cwd=PROJECT, env=_environment(folder), capture_output=True, text=True, check=False)
    if done.returncode:
        raise QuantAssetsError(f"dbt cannot parse {PROJECT}: {done.stdout.strip()[-2000:]}", remedy="correct the project")


def dbt_executable() -> str:
    """The dbt of this Python's environment, which need not be on PATH.

    Raises
    ------
    QuantAssetsError : it is not installed.
    """
    found = shutil.which("dbt", path=str(Path(sys.executable).parent)) or shutil.which("dbt")
    if found is None:
        raise QuantAssetsError(f"no dbt beside {sys.executable}", remedy="install the package again: pip install --editable .")
    return found


@dataclass(frozen=True)
class DbtRun:
    """What one `dbt build` did: its events for the chosen assets, and the nodes that failed, each with dbt's message."""

    outputs: Sequence[dg.Output[None]]
    checks: Sequence[dg.AssetCheckResult]
    failures: Mapping[str, str]


def dbt_build(
    context: dg.AssetExecutionContext, made: Building, *, manifest: Mapping[str, Any], translator: DagsterDbtTranslator
) -> DbtRun:
    """Builds the whole project into `made.database`, models and tests; what dbt prints is not shown.

    Raises
    ------
    QuantAssetsError : dbt ended before it ran a model.
    """
    target = made.folder / "target"
    target.mkdir()
    # Not through DbtCliResource: before each run it asks the package index for newer versions, and loads dbt once more.
    invocation = DbtCliInvocation.run(
        args=[dbt_executable(), "build", "--no-partial-parse", "--vars", json.dumps(made.variables)],
        env={**_environment(target), "QUANT_ASSETS_WAREHOUSE": str(made.database), "DBT_LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1"},
        manifest=manifest,
        dagster_dbt_translator=translator,
        project_dir=PROJECT,
        target_path=target,
        raise_on_error=False,
        context=context,
        adapter=None,
        cli_version=Version(version("dbt-core")),
    )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        events = list(invocation.stream())
    if not (target / "run_results.json").is_file():
        raise QuantAssetsError(f"dbt build ended before any model: {printed.getvalue().strip()[-2000:]}", remedy="correct what it names")
    results = {one["unique_id"]: one for one in invocation.get_artifact("run_results.json")["results"]}
    outputs = [event for event in events if isinstance(event, dg.Output) and event.output_name in context.selected_output_names]
    checks = [_with_rows(event, results, made) for event in events if isinstance(event, dg.AssetCheckResult)]
    failed = [one for one in results.values() if one["status"] in ("error", "fail", "runtime error")]
    return DbtRun(outputs, checks, {_name(one): _said(one) for one in failed})


def _with_rows(check: dg.AssetCheckResult, results: Mapping[str, Any], made: Building) -> dg.AssetCheckResult:
    """The check with the rows it found, if it found any."""
    result = results[str(check.metadata["unique_id"].value)]
    if not result["failures"]:
        return check
    rows = made.rows(result["compiled_code"], limit=OFFENDING_ROWS)
    return check._replace(metadata={**check.metadata, "rows": dg.MetadataValue.md(preview(rows, limit=OFFENDING_ROWS))})


def _name(result: Mapping[str, Any]) -> str:
    return str(result["unique_id"]).split(".")[2]


def _said(result: Mapping[str, Any]) -> str:
    """dbt's message in one line, without the macros it came through."""
    return " ".join(str(result["message"]).split()).split(" > in macro ")[0]


def _environment(target: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DBT_PROJECT_DIR": str(PROJECT),
        "DBT_PROFILES_DIR": str(PROJECT),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
