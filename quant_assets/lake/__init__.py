"""The parquet lake: tables as one file a year, replaced rectangle by rectangle."""

from quant_assets.lake.store import Lake

__all__ = ["Lake"]
