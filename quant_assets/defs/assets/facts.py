"""Assets of what is published about the economy and about companies, and of what is quoted: every table that vendors alone fill.

One that no vendor can be asked for, in this profile or without a key, says so and does nothing.
"""

import dagster as dg

from quant_assets import gathered
from quant_assets.defs.materialise import Events, as_check, check_specs, coverage_picture, emit
from quant_assets.defs.partitions import SINGLE_RUN, Grids, asked
from quant_assets.defs.resources import Night
from quant_assets.defs.step_asset import WITHIN_A_LONG_WEEKEND, step_asset
from quant_assets.defs.vendor_types import check_vendor_frame
from quant_assets.quality.doubts import DOUBTS
from quant_assets.quality.findings import Findings
from quant_assets.schemas import TABLES
from quant_assets.sources import configured, lacking
from quant_assets.steps import facts

KINDS = {"pandas", "polars", "parquet"}


def facts_assets(grids: Grids) -> list[dg.AssetsDefinition]:
    by_grid = {gathered.ECONOMY: grids.year, gathered.COMPANIES: grids.history, gathered.MARKET: grids.decision}
    return [_asset(table, grid) for tables, grid in by_grid.items() for table in tables]


def _asset(table: str, grid: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    checks = ("gate", "suite", *(("plausible",) if table in DOUBTS else ()))

    @step_asset(
        table=table,
        name=table,
        description=TABLES[table].meaning,
        partitions_def=grid,
        backfill_policy=SINGLE_RUN,
        group_name="sources",
        kinds=KINDS,
        check_specs=check_specs(table, *checks),
        freshness_policy=WITHIN_A_LONG_WEEKEND,
    )
    def gather(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        work = night.workspace(context)
        vendors = configured(work.settings, table)
        if not vendors:
            told = f"not configured: {lacking(work.settings, table)}"
            context.log.warning(f"{table}: {told}")
            yield from (as_check(Findings(check, True, told)) for check in checks)
            return
        tickers, windows = asked(context, work.universe)
        result = facts.fetch_facts(work, table, tickers, windows, vendors, run_id=context.run_id, door=check_vendor_frame)
        yield from emit(context, result, table=table, windows=windows, picture=coverage_picture(result, table))

    return gather
