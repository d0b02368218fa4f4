"""Assets of the history grid (ticker x year): index prices, prices, features, labels; and features across names, by years."""

import dagster as dg

from quant_assets import gathered
from quant_assets.defs.materialise import Events, check_specs, coverage_picture, emit
from quant_assets.defs.partitions import ALL_EARLIER, EVERYTHING, MULTI_RUN, SINGLE_RUN, Grids, asked, same_ticker
from quant_assets.defs.resources import Night
from quant_assets.defs.step_asset import WITHIN_A_LONG_WEEKEND, step_asset
from quant_assets.defs.vendor_types import check_vendor_frame, check_vendor_frames
from quant_assets.features.compute import READ
from quant_assets.steps import features as feature_steps
from quant_assets.steps import history


def history_assets(grids: Grids) -> list[dg.AssetsDefinition]:
    @step_asset(
        table="index_prices",
        partitions_def=grids.year,
        backfill_policy=SINGLE_RUN,
        group_name="sources",
        kinds={"python", "parquet"},
        check_specs=check_specs("index_prices", "gate", "suite"),
        freshness_policy=WITHIN_A_LONG_WEEKEND,
    )
    def index_prices(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """Daily bars of the S&P 500 and the Nasdaq Composite: what a name's beta is measured against."""
        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        result = history.fetch_index_prices(work, windows, door=check_vendor_frame)
        yield from emit(context, result, table="index_prices", windows=windows, picture=coverage_picture(result, "index_prices"))

    @step_asset(
        table="prices",
        partitions_def=grids.history,
        backfill_policy=SINGLE_RUN,
        group_name="sources",
        kinds={"pandas", "polars", "parquet"},
        check_specs=check_specs("prices", "gate", "sources_agree", "suite", "plausible"),
        freshness_policy=WITHIN_A_LONG_WEEKEND,
    )
    def prices(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """Daily bars as traded, with splits and dividends, behind the quality gate: rows that break a rule go to quarantine."""
        work = night.workspace(context)
        tickers, windows = asked(context, work.universe)
        raw = history.fetch_raw_prices(work, tickers, windows)
        check_vendor_frames(raw.frames)
        result = history.store_prices(work, tickers, windows, raw, run_id=context.run_id)
        yield from emit(context, result, table="prices", windows=windows, picture=coverage_picture(result, "prices"))

    @step_asset(
        table="features",
        partitions_def=grids.history,
        backfill_policy=MULTI_RUN,
        deps=[
            dg.AssetDep(prices, partition_mapping=same_ticker(start_offset=ALL_EARLIER)),
            dg.AssetDep(index_prices, partition_mapping=EVERYTHING),
            *(dg.AssetDep(table, partition_mapping=EVERYTHING) for table in gathered.ECONOMY if table in READ),
            *(dg.AssetDep(table, partition_mapping=same_ticker(start_offset=ALL_EARLIER)) for table in gathered.COMPANIES if table in READ),
        ],
        group_name="features",
        kinds={"polars", "parquet"},
        freshness_policy=WITHIN_A_LONG_WEEKEND,
    )
    def features(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """What is known about a name at each close, one column a feature of the catalogue; why one has no value stands in feature_gaps."""
        work = night.workspace(context)
        tickers, windows = asked(context, work.universe)
        result = feature_steps.build_features(work, tickers, windows, run_id=context.run_id)
        yield from emit(context, result, table="features", windows=windows)

    @step_asset(
        table="cross_section_features",
        partitions_def=grids.year,
        backfill_policy=MULTI_RUN,
        deps=[
            dg.AssetDep(features, partition_mapping=EVERYTHING),
            *(dg.AssetDep(table, partition_mapping=EVERYTHING) for table in gathered.COMPANIES if table in READ),
        ],
        group_name="features",
        kinds={"polars", "parquet"},
        freshness_policy=WITHIN_A_LONG_WEEKEND,
    )
    def cross_section_features(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """Where each name stands among all names at each close: ranks, residuals, breadth, dispersion and average correlation."""
        work = night.workspace(context)
        _, windows = asked(context, work.universe)
        result = feature_steps.build_across(work, windows, run_id=context.run_id)
        yield from emit(context, result, table="cross_section_features", windows=windows)

    @step_asset(
        table="labels",
        partitions_def=grids.history,
        backfill_policy=MULTI_RUN,
        deps=[dg.AssetDep(prices, partition_mapping=same_ticker(end_offset=1))],
        group_name="labels",
        kinds={"polars", "parquet"},
    )
    def labels(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Events:
        """Whether the close three sessions later was higher, and by how much; null until that session has closed."""
        work = night.workspace(context)
        tickers, windows = asked(context, work.universe)
        result = history.build_labels(work, tickers, windows, run_id=context.run_id)
        yield from emit(context, result, table="labels", windows=windows)

    return [index_prices, prices, features, cross_section_features, labels]
