"""Settings: what overrides what, and one sentence for every way to get them wrong."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from quant_assets.errors import BadArgument
from quant_assets.settings import FILE_NAME, Settings, find_home
from quant_assets.sources import every_source
from quant_assets.sources.wire.wire import opened_wire
from quant_assets.vendors import VENDORS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUANT_ASSETS_HOME", str(tmp_path))
    return tmp_path


def test_defaults_are_the_settled_ones(home: Path):
    settings = Settings.load()
    signal = settings.signal
    assert (signal.strong_bull, signal.bull, signal.bear, signal.strong_bear, signal.score_threshold) == (0.72, 0.62, 0.38, 0.28, 0.65)
    assert settings.profile == "offline"
    assert settings.universe_file.name == "offline.csv"
    assert settings.lake_root == home / "data" / "lake"
    assert settings.mlflow_uri == f"sqlite:///{home}/mlflow/mlflow.db"


def test_the_environment_wins_over_the_file_key_by_key(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / FILE_NAME).write_text('universe = "mine.csv"\n[signal]\nbull = 0.63\nbear = 0.4\n[grids]\nfirst_decision = 2010-01-04\n')
    monkeypatch.setenv("QUANT_ASSETS__SIGNAL__BULL", "0.64")
    settings = Settings.load()
    assert (settings.signal.bull, settings.signal.bear, settings.signal.strong_bull) == (0.64, 0.4, 0.72)
    assert settings.grids.first_decision == dt.date(2010, 1, 4)
    assert settings.universe_file == home / "mine.csv"


def test_a_vendor_may_be_asked_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / FILE_NAME).write_text('[sources.fred]\nbase_url = "http://127.0.0.1:8000"\n')
    monkeypatch.setenv("QUANT_ASSETS__SOURCES__NEWS_API__BASE_URL", "http://127.0.0.1:9000/copy")
    with opened_wire(Settings.load()) as wire:
        assert wire.base_urls == {"fred": "http://127.0.0.1:8000", "news_api": "http://127.0.0.1:9000/copy"}
        assert wire.store.file == home / "data" / "wire.db"


def test_an_argument_wins_over_both(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QUANT_ASSETS__PROFILE", "live")
    assert Settings.load().profile == "live"
    assert Settings.load(profile="offline").profile == "offline"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('profil = "live"', "unknown setting 'profil' in {file}; did you mean 'profile'?"),
        ("[signal]\nscore_treshold = 0.6", "unknown setting 'signal.score_treshold' in {file}; did you mean 'score_threshold'?"),
        (
            "zzz = 1",
            "unknown setting 'zzz' in {file}; known keys: "
            "profile, universe, membership, warehouse, paths, signal, grids, features, models, alerts, sources.",
        ),
        ("[paths]\nzzz = 1", "unknown setting 'paths.zzz' in {file}; known keys: data, outputs, mlflow, logs."),
        ('[sources.fred]\nbase_ur = "http://127.0.0.1:8000"', "unknown setting 'sources.fred.base_ur' in {file}; did you mean 'base_url'?"),
        ('[sources.fred]\nbase_url = "127.0.0.1:8000"', "setting sources.fred.base_url = '127.0.0.1:8000': String should match"),
        ('home = "elsewhere"', "unknown setting 'home' in {file}"),
        ('[sources.yaho]\nbase_url = "http://127.0.0.1:8000"', "unknown setting 'sources.yaho' in {file}; did you mean 'yahoo'?"),
        ("[sources.zzz]", "unknown setting 'sources.zzz' in {file}; known keys: yahoo, fred, sec, massive, alpha_vantage,"),
        ("[signal]\nbull = 0.8", "setting signal: bands must fall from strong_bull to strong_bear, not strong_bull 0.72, bull 0.8, bear"),
        ('[alerts]\nemail_to = "me"', "setting alerts.email_to = 'me': String should match pattern"),
        (
            '[alerts]\nemail_to = "me@example.com"',
            "needs email_from and smtp_host; correct it in {file} or the environment.",
        ),
        (
            '[alerts]\nwebhook = "x"',
            "unknown setting 'alerts.webhook' in {file}; known keys: email_to, email_from, smtp_host, smtp_port",
        ),
        ("[signal]\nbull = 0.3", "bands must fall"),
        ("[signal]\nbear = 0.62", "bands must fall"),
        ("[signal]\nstrong_bear = 1.5", "setting signal.strong_bear = 1.5: Input should be less than or equal to 1; correct it in {file}."),
        ("[signal]\nscore_threshold = nan", "setting signal.score_threshold = nan"),
        ('profile = "paper"', "setting profile = 'paper': Input should be 'offline' or 'live'"),
        ("signal = 3", "setting signal = 3"),
        ("[signal", "cannot be read: Expected ']'"),
        ("[grids]\nfirst_cutoff = 2009-02-01", "first_cutoff 2009-02-01 is not the first day of a quarter"),
        ("[grids]\nhistory_start = 2000-03-01", "history_start 2000-03-01 is not a 1 January"),
        ("[grids]\nfirst_decision = 2008-12-01", "history_start < first_cutoff <= first_decision"),
    ],
)
def test_a_wrong_file_is_one_sentence(home: Path, text: str, message: str):
    (home / FILE_NAME).write_text(text + "\n")
    with pytest.raises(BadArgument, match=re.escape(message.replace("{file}", str(home / FILE_NAME)))) as refused:
        Settings.load()
    assert str(refused.value).endswith((".", "?"))


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "QUANT_ASSETS__PROFIL",
            "live",
            "'profil' in the environment variable QUANT_ASSETS__PROFIL; did you mean 'profile'?",
        ),
        (
            "quant_assets__profil",
            "live",
            "'profil' in the environment variable quant_assets__profil; did you mean 'profile'?",
        ),
        ("QUANT_ASSETS__SIGNAL__BUL", "0.6", "'signal.bul' in the environment variable QUANT_ASSETS__SIGNAL__BUL; did you mean 'bull'?"),
        ("QUANT_ASSETS__SIGNAL", '{"bul": 0.6}', "'signal.bul' in the environment variable QUANT_ASSETS__SIGNAL; did you mean 'bull'?"),
        (
            "QUANT_ASSETS__SOURCES__YAHO__BASE_URL",
            "http://127.0.0.1:1",
            "QUANT_ASSETS__SOURCES__YAHO__BASE_URL; did you mean 'yahoo'?",
        ),
        ("QUANT_ASSETS__HOME", "/elsewhere", "unknown setting 'home' in the environment variable QUANT_ASSETS__HOME"),
        ("QUANT_ASSETS__SIGNAL", "{bull", 'field "signal"'),
        (
            "QUANT_ASSETS__SIGNAL__BULL",
            "high",
            "unable to parse string as a number; correct it in QUANT_ASSETS__SIGNAL__BULL.",
        ),
    ],
)
def test_a_wrong_variable_is_one_sentence(home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str):
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadArgument, match=re.escape(message)):
        Settings.load()


def test_a_wrong_key_of_the_file_is_not_laid_at_the_door_of_a_variable(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / FILE_NAME).write_text("[signal]\nbul = 0.6\n")
    monkeypatch.setenv("QUANT_ASSETS__SIGNAL__BEAR", "0.4")
    monkeypatch.setenv("QUANT_ASSETS__SIGNAL", '{"bull": 0.7}')
    with pytest.raises(BadArgument, match=re.escape(f"unknown setting 'signal.bul' in {home / FILE_NAME}")):
        Settings.load()


def test_every_vendor_that_is_asked_can_be_named(home: Path):
    asked = {source.policy.vendor for source in every_source(Settings.load(profile="live")) if source.policy}
    assert asked <= set(VENDORS)


def test_the_home_is_the_nearest_folder_upwards_with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("QUANT_ASSETS_HOME", raising=False)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_home() == below
    (tmp_path / FILE_NAME).touch()
    assert find_home() == tmp_path
    assert Settings.load().lake_root == tmp_path / "data" / "lake"
    (tmp_path / "a" / FILE_NAME).touch()
    assert find_home() == tmp_path / "a"
    monkeypatch.setenv("QUANT_ASSETS_HOME", str(tmp_path))
    assert find_home() == tmp_path


def test_paths_may_be_absolute(home: Path, tmp_path: Path):
    (home / FILE_NAME).write_text(f'[paths]\ndata = "{tmp_path}/elsewhere"\n')
    assert Settings.load().lake_root == tmp_path / "elsewhere" / "lake"
