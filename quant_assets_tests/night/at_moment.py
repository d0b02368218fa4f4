"""The command line at another moment: `python -m quant_assets_tests.night.at_moment 2012-12-14T22:30:00+00:00 run --profile live`."""

from __future__ import annotations

import datetime as dt
import sys

import time_machine

if __name__ == "__main__":
    with time_machine.travel(dt.datetime.fromisoformat(sys.argv.pop(1)), tick=True):
        from quant_assets.cli.app import main

        main()
