"""From a step's result to Dagster events: metadata worth a look, checks, and partial failure that names its partitions."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from quant_assets.calendars import Window
from quant_assets.lake.coverage import ALL
from quant_assets.quality.findings import Findings
from quant_assets.schemas import TABLES, Table
from quant_assets.steps.result import StepResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Links = Mapping[str, dg.MetadataValue[Any]]
Events = Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]
PREVIEW_ROWS = 12
OFFENDING_ROWS = 50
PICTURE_COLOURS = 32
LISTED_NAMES = 5
SHOWN_CHARACTERS = 160
"""Of a text in a table: longer than the longest reason without its remedy."""


def check_specs(asset: str, *names: str, blocking: Sequence[str] = ()) -> list[dg.AssetCheckSpec]:
    """The checks a step reports on itself."""
    told = {
        "gate": "Rows that break a rule are quarantined, and what arrived of their name with them is withheld.",
        "sources_agree": "Names that two sources have: daily total returns within 1 %.",
        "plausible": "Rows that are possible and unlikely; they are stored.",
        "suite": "The Great Expectations suite of the table.",
        "suites": "The suite of every table, asked of all its rows.",
        "alive": "Each name that is not said to be dead has had a bar lately.",
        "features": "Computed again from what was known at sampled sessions, and beside other futures: no value moves.",
        "labels": "Null until their label_end, the same ever after.",
        "scores": "The stored models score what was known at sampled sessions as they score everything.",
        "stored": "What the lake holds is what its inputs give.",
        "inputs": "Every row that a decision reads was public in time.",
    }
    return [dg.AssetCheckSpec(name, asset=asset, description=told[name], blocking=name in blocking) for name in names]


def emit(
    context: dg.AssetExecutionContext,
    result: StepResult,
    *,
    table: str,
    windows: Mapping[str, Window],
    picture: Figure | None = None,
    links: Links | None = None,
    by_partition: Mapping[str, Links] | None = None,
) -> Events:
    """Check results, then one materialisation of all partitions; or, when cells are withheld, of the good ones, and a failure.

    Parameters
    ----------
    links : where to look further (files, runs), by name.
    by_partition : as links, of single partitions.

    Raises
    ------
    Failure : cells were withheld; the good ones are recorded, so that re-executing from failure asks for the bad ones only.
    """
    metadata = {**(links or {}), **describe(result, TABLES[table], windows)}
    if picture is not None and result.rows.height:
        metadata = {"picture": dg.MetadataValue.md(_inline(picture)), **metadata}
    for check in result.checks:
        yield as_check(check)
    own = by_partition or {}
    if not result.withheld:
        for key, one in own.items():
            context.add_asset_metadata(one, partition_key=key)
        yield dg.MaterializeResult(metadata=metadata)
        return
    lost = {window for _, window in result.withheld}
    for key in map(str, context.partition_keys):
        window, _, ticker = key.partition("|")
        if (ticker, window) not in result.withheld if ticker else window not in lost:
            context.log_event(dg.AssetMaterialization(context.asset_key, partition=key, metadata={**own.get(key, {}), **metadata}))
    raise dg.Failure(
        withheld_sentence(result.withheld),
        metadata={f"{ticker} {window}": reason for (ticker, window), reason in result.withheld.items()},
        allow_retries=False,
    )


def coverage_picture(result: StepResult, table: str) -> Figure | None:
    """Rows a month of each name or series; None where nothing was stored."""
    if result.rows.is_empty():
        return None
    from quant_assets.defs.pictures import presence  # matplotlib: only where something is drawn

    spec = TABLES[table]
    return presence(result.rows.select(key=spec.entity or "", day=spec.event_time))


def withheld_sentence(withheld: Mapping[tuple[str, str], str]) -> str:
    """The cells by name and span of windows, with the first reason; more than five names are counted."""
    spans: dict[str, list[str]] = {}
    for ticker, window in withheld:
        spans.setdefault(ticker, []).append(window)
    told = [
        f"{'' if ticker == ALL else ticker + ' '}{min(keys)}{'..' + max(keys) if len(keys) > 1 else ''}" for ticker, keys in spans.items()
    ]
    more = f" and {len(told) - LISTED_NAMES} more names" if len(told) > LISTED_NAMES else ""
    return f"withheld {', '.join(told[:LISTED_NAMES])}{more}: {next(iter(withheld.values()))}"


def describe(result: StepResult, table: Table, windows: Mapping[str, Window]) -> dict[str, Any]:
    """Rows, window, preview and the step's own figures."""
    rows = result.rows
    first, last = (rows.select(pl.col(table.event_time).min(), last=pl.col(table.event_time).max())).row(0)
    metadata: dict[str, Any] = {
        "dagster/row_count": rows.height,
        "window": f"{first} to {last}" if rows.height else f"no rows in {', '.join(windows)}",
        "preview": dg.MetadataValue.md(preview(rows.sort(table.event_time, descending=True, maintain_order=True))),
    }
    return metadata | {name: _metadata(value) for name, value in result.figures.items()}


def declared(table: Table) -> dict[str, Any]:
    """The table's columns, for the asset's definition: said once instead of in every event."""
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    column.name,
                    str(column.dtype),
                    description=column.meaning if column.unit == "-" else f"{column.meaning} [{column.unit}]",
                    constraints=dg.TableColumnConstraints(nullable=column.nullable),
                )
                for column in table.columns
            ]
        )
    }


def as_check(check: Findings) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"offending_rows": check.rows.height}
    if check.rows.height:
        metadata["rows"] = dg.MetadataValue.md(offending(check.rows))
    # What these find is worth a look, and a warning says so; what the others find withholds rows.
    severity = dg.AssetCheckSeverity.WARN if check.name in ("sources_agree", "plausible", "alive") else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        check_name=check.name, passed=check.passed, severity=severity, description=check.description, metadata=metadata
    )


def offending(rows: pl.DataFrame) -> str:
    """The first rows as `preview` shows them, below what to do about them: what follows the first semicolon of each `reason`, said once."""
    if "reason" not in rows.columns:
        return preview(rows, limit=OFFENDING_ROWS)
    parts = rows.with_columns(pl.col("reason").str.splitn("; ", 2).struct.rename_fields(["reason", "remedy"])).unnest("reason")
    remedies = parts["remedy"].drop_nulls().unique(maintain_order=True).head(LISTED_NAMES)
    return "\n\n".join([*(f"Remedy: {remedy}" for remedy in remedies), preview(parts.drop("remedy"), limit=OFFENDING_ROWS)])


def preview(rows: pl.DataFrame, *, limit: int = PREVIEW_ROWS) -> str:
    """The first rows as a block of text, which the UI scrolls where it would break a wide table's words; floats to five digits.

    A column that holds one value in all these rows is said once above them; a single row stands upright.
    """
    shown = rows.head(limit).with_columns(pl.selectors.float().round(5))
    if shown.height == 1:
        return _figures(shown.row(0, named=True))
    same = [name for name in shown.columns if shown.height and shown[name].n_unique() == 1]
    layout = pl.Config(
        tbl_formatting="NOTHING",
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_cols=-1,
        tbl_rows=-1,
        tbl_width_chars=10_000,
        fmt_str_lengths=SHOWN_CHARACTERS,
    )
    told = [f"`{name}` {shown[name][0]}" for name in same]
    with layout:
        block = f"```\n{shown.drop(same)}\n```"
    return f"In each row: {', '.join(told)}\n\n{block}" if told else block


def _figures(values: Mapping[str, Any]) -> str:
    width = max(map(len, values), default=0)
    return "\n".join(["```", *(f"{name:<{width}}  {value}" for name, value in values.items()), "```"])


def _metadata(value: Any) -> Any:
    if isinstance(value, dict):
        return dg.MetadataValue.md(_figures(value))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return dg.MetadataValue.null() if value is None else value


def _inline(figure: Figure) -> str:
    """The figure as markdown. Every partition's event carries it, so a palette keeps it to a few kilobytes."""
    from PIL import Image

    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110, bbox_inches="tight")
    Image.open(drawn).convert("RGB").quantize(PICTURE_COLOURS).save(packed, format="png", optimize=True)
    return f"![picture](data:image/png;base64,{base64.b64encode(packed.getvalue()).decode()})"
