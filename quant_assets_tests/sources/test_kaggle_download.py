"""Kaggle's set through kagglehub from a server on loopback: once, whole, and without a word of the key."""

from __future__ import annotations

import gc
import io
import json
import os
import traceback
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from quant_assets.errors import BadArgument, SourceError, SourceUnavailable
from quant_assets.settings import Settings, Vendor
from quant_assets.sources.kaggle_download import HANDLE, download
from quant_assets.sources.native_files import NativeFiles
from quant_assets_tests.natives import HEAD
from quant_assets_tests.replay import Answers, Asked, Reply, replaying

# kagglehub leaves its sessions to the garbage collector, which closes their sockets with a warning.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
KEY = "0123456789abcdef-kaggle-key"
FILES = {
    "Data/Stocks/aapl.us.txt": HEAD + "2017-11-10,175.11,175.38,174.27,174.67,25130494,0\r\n",
    "Data/Stocks/sail.us.txt": "",
    "Data/ETFs/spy.us.txt": HEAD + "2017-11-10,257.73,258.29,257.37,258.09,75756800,0\r\n",
    "Stocks/aapl.us.txt": HEAD + "2017-11-10,175.11,175.38,174.27,174.67,25130494,0\r\n",
    "Stocks/spy.us.txt": HEAD + "2017-11-10,1,1,1,1,1,0\r\n",
    "Data/readme.md": "no history",
}


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if find_spec("kagglehub") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("kagglehub is not installed: pip install -e '.[live]'")
    monkeypatch.setenv("KAGGLE_USERNAME", "somebody")
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    monkeypatch.setenv("HOME", str(tmp_path))  # no token of whoever runs the tests
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as written:
        for name, content in FILES.items():
            written.writestr(name, content)
    return packed.getvalue()


def kaggle(body: Reply) -> Answers:
    """Kaggle's API: the version of the set, and `body` for its archive."""

    def answers(asked: Asked) -> Reply:
        if asked.path.endswith("/GetDataset"):
            owner, name = HANDLE.split("/")
            assert json.loads(asked.body) == {"ownerSlug": owner, "datasetSlug": name}
            return Reply(json.dumps({"currentVersionNumber": 3}))
        assert asked.path == "/v1/datasets.DatasetApiService/DownloadDataset"
        return body

    return answers


def settings_at(home: Path, url: str) -> Settings:
    return Settings(home=home, sources={"kaggle": Vendor(base_url=url)})


def test_the_set_is_downloaded_once(tmp_path: Path):
    with replaying(kaggle(Reply(archive(), content_type="application/zip"))) as server:
        settings = settings_at(tmp_path, server.url)
        assert download(settings) == 3
        n_asked = len(server.asked)
        assert {asked.headers["authorization"].startswith("Basic ") for asked in server.asked} == {True}
        assert download(settings) == 0
        assert len(server.asked) == n_asked == 2
    native = tmp_path / "data/native"
    assert sorted(path.name for path in native.iterdir()) == [".kaggle-downloaded", "aapl.us.txt", "replaced", "sail.us.txt", "spy.us.txt"]
    assert (native / "spy.us.txt").read_bytes() == FILES["Data/ETFs/spy.us.txt"].encode()
    [differs] = (native / "replaced").iterdir()
    assert differs.read_bytes() == FILES["Stocks/spy.us.txt"].encode()
    assert list(NativeFiles(native).offers()) == ["AAPL", "SAIL", "SPY"]
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_files_that_are_there_stay_as_they_are(tmp_path: Path):
    mine = tmp_path / "data/native/aapl.us.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with replaying(kaggle(Reply(archive(), content_type="application/zip"))) as server:
        assert download(settings_at(tmp_path, server.url)) == 2
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (Reply('{"code": 401, "message": "Unauthenticated"}', 401), SourceError, "the key in KAGGLE_KEY was refused (401)"),
        (Reply('{"code": 404, "message": "none"}', 404), SourceError, "was answered 404"),
        (Reply("slow down", 429, "text/plain"), SourceUnavailable, "was answered 429"),
        (Reply("broken", 503, "text/plain"), SourceUnavailable, "was answered 503"),
        (Reply('{"code": 403, "message": "no"}', 200), SourceError, "was refused (403)"),
        (Reply(archive(), content_type="application/zip", cut=100), SourceUnavailable, "broke off"),
        (Reply(reset=True), SourceUnavailable, "broke off"),
        (Reply("<html>please sign in</html>", content_type="text/html"), SourceUnavailable, "cannot be used"),
    ],
)
def test_a_failure_is_one_sentence_and_the_next_try_completes_it(tmp_path: Path, body: Reply, kind: type[SourceError], told: str):
    with replaying(kaggle(body)) as server, pytest.raises(kind) as failed:
        download(settings_at(tmp_path, server.url))
    assert str(failed.value).startswith("kaggle: ")
    assert told in str(failed.value)
    assert KEY not in "".join(traceback.format_exception(failed.value))
    assert list(NativeFiles(tmp_path / "data/native").offers()) == []  # nothing half
    with replaying(kaggle(Reply(archive(), content_type="application/zip"))) as server:
        assert download(settings_at(tmp_path, server.url)) == 3


def test_without_a_key_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KAGGLE_KEY")
    with replaying(kaggle(Reply())) as server:
        with pytest.raises(SourceError, match=r"^kaggle: no key in KAGGLE_KEY; make a token at kaggle\.com/settings"):
            download(settings_at(tmp_path, server.url))
        assert server.asked == []


def test_without_the_package_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("quant_assets.sources.kaggle_download.find_spec", lambda _: None)
    with pytest.raises(BadArgument, match=r"needs kagglehub, which is not installed; pip install -e '\.\[live\]'"):
        download(Settings(home=tmp_path))
