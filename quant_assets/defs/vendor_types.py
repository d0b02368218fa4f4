"""dagster-pandas types of the frames that vendors' packages return: a changed vendor schema fails at the door with the column named.

Only names and types are settled here: a value that cannot be true is the gate's business, which withholds its cell and no other.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
import pandas as pd
from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type

BokehStocksFrame = create_dagster_pandas_dataframe_type(
    name="BokehStocksFrame",
    description="Daily bars as bokeh_sampledata ships them.",
    columns=[
        PandasColumn.string_column("ticker", non_nullable=True),
        PandasColumn.datetime_column("date", non_nullable=True),
        *(PandasColumn.float_column(name, ignore_missing_vals=True) for name in ("open", "high", "low", "close", "adj_close")),
        PandasColumn.integer_column("volume"),
    ],
)
SkfolioPricesFrame = create_dagster_pandas_dataframe_type(
    name="SkfolioPricesFrame",
    description="Adjusted closes as skfolio ships them, one row a ticker and date.",
    columns=[
        PandasColumn.string_column("ticker", non_nullable=True),
        PandasColumn.datetime_column("date", non_nullable=True),
        PandasColumn.float_column("adj_close", ignore_missing_vals=True),
    ],
)
YahooPricesFrame = create_dagster_pandas_dataframe_type(
    name="YahooPricesFrame",
    description="Daily bars as yfinance gives them, divided by the splits since, and those splits.",
    columns=[
        PandasColumn.string_column("ticker", non_nullable=True),
        PandasColumn.datetime_column("date", non_nullable=True),
        *(
            PandasColumn.float_column(name, ignore_missing_vals=True)
            for name in ("Open", "High", "Low", "Close", "Dividends", "Stock Splits", "Later Splits")
        ),
        PandasColumn.integer_column("Volume"),
    ],
)
MassivePricesFrame = create_dagster_pandas_dataframe_type(
    name="MassivePricesFrame",
    description="Daily bars as Massive gives them, as traded, with the splits and dividends of each; no such action is NaN.",
    columns=[
        PandasColumn.string_column("ticker", non_nullable=True),
        PandasColumn.datetime_column("date", non_nullable=True),
        *(
            PandasColumn.float_column(name, ignore_missing_vals=True)
            for name in ("open", "high", "low", "close", "volume", "split_from", "split_to", "cash_amount")
        ),
    ],
)
NativeFilesFrame = create_dagster_pandas_dataframe_type(
    name="NativeFilesFrame",
    description="Daily bars as native Stooq files hold them, adjusted for splits and dividends.",
    columns=[
        PandasColumn.string_column("ticker", non_nullable=True),
        PandasColumn.datetime_column("date", non_nullable=True),
        *(PandasColumn.float_column(name, ignore_missing_vals=True) for name in ("Open", "High", "Low", "Close", "Volume", "OpenInt")),
    ],
)
LeanPricesFrame = create_dagster_pandas_dataframe_type(
    name="LeanPricesFrame",
    description="Daily bars of LEAN's files in units of USD / 10,000, with the factors of their day.",
    columns=[
        PandasColumn.string_column("ticker", non_nullable=True),
        PandasColumn.string_column("security_id", non_nullable=True),
        PandasColumn.datetime_column("date", non_nullable=True),
        *(PandasColumn.float_column(name, ignore_missing_vals=True) for name in ("open", "high", "low", "close", "volume")),
        *(PandasColumn.float_column(name, ignore_missing_vals=True) for name in ("price_factor", "split_factor", "reference")),
    ],
)
VENDOR_TYPES = {
    "bokeh": BokehStocksFrame,
    "kaggle": NativeFilesFrame,
    "lean": LeanPricesFrame,
    "massive": MassivePricesFrame,
    "skfolio": SkfolioPricesFrame,
    "yahoo": YahooPricesFrame,
}


def check_vendor_frames(frames: Mapping[str, pd.DataFrame]) -> None:
    """Raises Failure naming the vendor and the column that is not what it used to be."""
    for vendor, frame in frames.items():
        verdict = dg.check_dagster_type(VENDOR_TYPES[vendor], frame)
        if not verdict.success:
            raise dg.Failure(f"{vendor}: {verdict.description}; the vendor's frame has changed, adapt its source", allow_retries=False)
