"""`python -m quant_assets` is `quant-assets`."""

from quant_assets.cli.app import main

main()
