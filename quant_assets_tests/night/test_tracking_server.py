"""Nights of a home whose models lie on an MLflow server, which then goes down."""

from __future__ import annotations

from pathlib import Path

from quant_assets.models.kept_runs import KeptRuns
from quant_assets_tests.models.mlflow_server import Server
from quant_assets_tests.night.homes import new_home

SETTINGS = """universe = "universe.csv"

[grids]
history_start = 2007-01-01
first_cutoff = 2012-10-01
first_decision = 2013-02-14

[models]
tracking_uri = "{server}"
"""
UNIVERSE = """ticker,source,listed
AAPL,bokeh,2007-01-03
IBM,bokeh,2007-01-03
KO,skfolio,2007-01-03
"""


def test_nights_go_on_without_the_tracking_server(tmp_path: Path):
    server = Server.at_a_free_port(tmp_path / "server")
    home = new_home(tmp_path / "home", universe=UNIVERSE, settings=SETTINGS.format(server=server.uri))
    try:
        server.start()
        code, told = home.json("run", "--as-of", "2013-02-14")
        assert (code, told["status"]) == (0, "done")
        assert not (home.folder / "mlflow" / "mlflow.db").exists()

        server.kill()
        code, told = home.json("run", "--as-of", "2013-02-15")
        assert (code, told["status"]) == (0, "done")
        scores = {signal["ticker"]: signal["score"] for signal in told["signals"]}
        assert None not in scores.values()

        # Trained meanwhile: used at once, kept, and said to wait.
        done = home.run("train")
        assert done.returncode == 0, done.stderr
        assert f"waiting in {home.folder}/mlflow/waiting until {server.uri.replace('me:hidden-word@', '')} answers: 1 run" in done.stdout
        assert "hidden-word" not in done.stdout + done.stderr
        assert len(KeptRuns(home.folder / "mlflow" / "waiting").waiting()) == 1

        server.start()
        code, told = home.json("model", "list")
        assert (code, [(item["version"], item["aliases"]) for item in told["items"]]) == (0, [("1", ["challenger"])])
        assert KeptRuns(home.folder / "mlflow" / "waiting").waiting() == []
    finally:
        server.kill()
