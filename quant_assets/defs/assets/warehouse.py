"""The warehouse: every model of `dbt_features` as an asset, its tests as checks, built in one step."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from quant_assets.defs.partitions import SINGLE_RUN, Grids, asked
from quant_assets.defs.resources import Night
from quant_assets.settings import Settings
from quant_assets.warehouse import building, is_built

POOL = "warehouse"


def warehouse_assets(settings: Settings, grids: Grids) -> list[dg.AssetsDefinition]:
    """None in a home without a warehouse, which so does not load dbt, the slowest import there is."""
    if not is_built(settings):
        return []
    from dagster_dbt import dbt_assets

    from quant_assets.defs.dbt import GROUP, WarehouseTranslator, dbt_build, manifest_file

    manifest, translator = json.loads(manifest_file().read_bytes()), WarehouseTranslator()

    @dbt_assets(
        manifest=manifest,
        name="build_warehouse",
        dagster_dbt_translator=translator,
        partitions_def=grids.year,
        backfill_policy=SINGLE_RUN,
        pool=POOL,
    )
    def build_warehouse(
        context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]
    ) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
        """Builds the asked years into a copy of the warehouse, whichever of its tables were chosen, and swaps it in when no test fails."""
        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        with building(work, list(windows.values())) as made:
            run = dbt_build(context, made, manifest=manifest, translator=translator)
            rows = {} if run.failures else made.swap()
        yield from run.checks
        if run.failures:
            told = "; ".join(f"{node}: {message}" for node, message in run.failures.items())
            raise dg.Failure(f"the warehouse stays as it was: {told}", metadata=dict(run.failures), allow_retries=False)
        for output in run.outputs:
            table = str(output.output_name).removeprefix(f"{GROUP}__")
            metadata: dict[str, Any] = {"window": str(made.window), "from_scratch": made.from_scratch, **output.metadata}
            if table in rows:
                metadata["dagster/row_count"] = rows[table]
            yield dg.Output(None, output_name=output.output_name, metadata=metadata)

    return [build_warehouse]
