"""`quant-assets universe` on a home of its own: what it lists, and the one document of `--json`."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_assets_tests.night.homes import UNIVERSE, Home, new_home

DEAD = UNIVERSE.replace("listed\n", "listed,delisted\n").replace("-03\n", "-03,\n").replace("-18\n", "-18,\n")
DEAD = DEAD.replace("XOM,skfolio,2007-01-03,", "XOM,skfolio,2007-01-03,2012-11-14")
MEMBERS = "ticker,start,end\nAAPL,2007-01-03,\nIBM,2007-01-03,2010-12-31\nIBM,2012-01-03,\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home(tmp_path / "home")


def test_a_removed_name_is_one_document(home: Home):
    code, told = home.json("universe", "remove", "ko")
    assert (code, told) == (0, {"removed": "KO", "universe": str(home.folder / "universe.csv")})
    code, told = home.json("universe", "remove", "KO")
    assert (code, told["error"]["code"]) == (2, "bad_argument")
    code, told = home.json("universe", "add", "KO")
    assert (code, told) == (0, {"added": "KO", "universe": str(home.folder / "universe.csv")})


def test_columns_of_dead_names_and_members_are_shown_where_there_are_any(home: Home):
    code, told = home.json("universe", "list")
    assert code == 0
    assert set(told["items"][0]) == {"ticker", "source", "listed"}
    (home.folder / "universe.csv").write_text(DEAD)
    (home.folder / "members.csv").write_text(MEMBERS)
    settings = home.folder / "quant_assets.toml"
    settings.write_text(f'membership = "members.csv"\n{settings.read_text()}')
    items = {item["ticker"]: item for item in home.json("universe", "list")[1]["items"]}
    assert items["XOM"] == {"ticker": "XOM", "source": "skfolio", "listed": "2007-01-03", "delisted": "2012-11-14", "membership": []}
    assert items["IBM"]["delisted"] is None
    assert items["IBM"]["membership"] == [{"start": "2007-01-03", "end": "2010-12-31"}, {"start": "2012-01-03", "end": None}]
    shown = home.run("universe", "list").stdout
    assert "2007-01-03..2010-12-31, 2012-01-03.." in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("XOM")] == [
        ["XOM", "skfolio", "2007-01-03", "2012-11-14", "never"]
    ]


def test_a_member_without_a_line_in_the_universe_is_refused(home: Home):
    (home.folder / "members.csv").write_text("ticker,start,end\nENRN,2007-01-03,\n")
    settings = home.folder / "quant_assets.toml"
    settings.write_text(f'membership = "members.csv"\n{settings.read_text()}')
    done = home.run("run")
    assert done.returncode == 2
    assert "has members that universe.csv lacks: ENRN; add them to the universe" in done.stderr
