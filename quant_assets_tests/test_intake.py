"""The drop folder: what is complete moves in one step, what is not waits, what is bad is set aside with a sentence, and nothing is lost."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from quant_assets import intake
from quant_assets.calendars import Window, sessions
from quant_assets.errors import LakeError
from quant_assets.intake import Look, record_of, take_in
from quant_assets.sources.native_files import NativeFiles
from quant_assets_tests.natives import HEAD, line, native_stooq, put, text
from quant_assets_tests.small import FETCHED_AT

D = dt.date
DAYS = sessions(Window(D(2012, 1, 1), D(2012, 3, 1)))
CLOSES = [20 + 0.01 * place for place in range(len(DAYS))]
GOOD = text(DAYS, CLOSES)
NAMES = ("AAPL", "BRK.B", "MSFT")


class Folders:
    """A drop folder, a native folder, and the looks at them."""

    def __init__(self, home: Path) -> None:
        self.drop, self.native = home / "drop", home / "native"
        self.drop.mkdir()
        self.sizes: intake.Sizes = {}

    def look(self) -> Look:
        found = take_in(self.drop, NativeFiles(self.native), NAMES, before=self.sizes, clock=lambda: FETCHED_AT)
        self.sizes = found.sizes
        return found

    def settled(self) -> Look:
        """A look at which every file is as at the one before."""
        self.look()
        return self.look()

    def everything(self) -> list[bytes]:
        """The contents of all files in both folders, the record and the reasons aside."""
        files = [file for folder in (self.drop, self.native) for file in folder.rglob("*") if file.is_file()]
        return sorted(file.read_bytes() for file in files if file.name != intake.RECORD and file.suffix != ".why")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def refused(folders: Folders) -> dict[str, str]:
    """The refused files by the name they were dropped with, and why."""
    aside = folders.drop / "refused"
    return {why.name.rsplit(".", 2)[0]: why.read_text() for why in sorted(aside.glob("*.why"))} if aside.exists() else {}


def test_a_real_file_is_moved_at_the_second_look(folders: Folders, shared: Path):
    put(folders.drop, "AAPL", native_stooq(shared, "AAPL"))
    first = folders.look()
    assert first.taken == ()
    assert first.told == ("waiting until they have been the same for two looks: aapl.us.txt",)
    [taken] = folders.look().taken
    assert (taken.ticker, taken.rows, taken.first, taken.last) == ("AAPL", 8364, D(1984, 9, 7), D(2017, 11, 10))
    assert (folders.native / "aapl.us.txt").read_bytes() == native_stooq(shared, "AAPL")
    assert record_of(folders.drop) == [taken]
    assert os.listdir(folders.drop) == [intake.RECORD]
    assert folders.look() == Look((), (), {})


def test_a_file_that_grows_waits_until_it_is_whole(folders: Folders):
    for end in (10, len(HEAD), len(HEAD) + 20, len(GOOD) - 1):
        put(folders.drop, "AAPL", GOOD[:end])
        assert folders.look().taken == ()
    put(folders.drop, "AAPL", GOOD)
    assert folders.look().taken == ()
    assert len(folders.look().taken) == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [(GOOD[:-2], "its last line does not end"), (GOOD[:-12] + "\n", "its last line is cut"), ("Date,Open", "its last line does not end")],
)
def test_a_file_that_stopped_growing_half_way_waits(folders: Folders, content: str, why: str):
    put(folders.drop, "AAPL", content)
    for _ in range(3):
        assert folders.settled().told == (f"aapl.us.txt waits: {why}",)
    assert folders.everything() == [content.encode()]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "kaggle: aapl.us.txt is empty; replace the file, or name another source."),
        (HEAD, "kaggle: aapl.us.txt has a header and no bar"),
        ("a,b\n1,2\n", "kaggle: aapl.us.txt begins with 'a,b' where Date,Open,High,Low,Close,Volume,OpenInt is expected"),
        (HEAD + "tomorrow,1,1,1,1,1,0\n", "line 2 begins with no date: 'tomorrow,1,1,1,1,1,0'"),
        (GOOD.replace("2012-01-05,20.02", "2012-01-05,x"), "the row of 2012-01-05, about line 4, has not six numbers (1 such rows)"),
        (GOOD.replace("2012-01-05,20.02", "2012-01-05,20,02"), "the row of 2012-01-05, about line 4, has not six numbers"),
    ],
)
def test_a_bad_file_is_set_aside_with_the_reason(folders: Folders, content: str, why: str):
    put(folders.drop, "AAPL", content)
    put(folders.drop, "MSFT", GOOD)
    found = folders.settled()
    assert [taken.ticker for taken in found.taken] == ["MSFT"]
    assert why in refused(folders)["aapl.us.txt"]
    assert why in found.told[0]
    assert folders.everything() == sorted([content.encode(), GOOD.encode()])


def test_what_a_row_says_is_left_to_the_gate(folders: Folders):
    """A week-end, a bar twice, a price below zero: well-formed, so they are taken in."""
    put(folders.drop, "AAPL", GOOD + line(D(2012, 3, 3), 20) + line(DAYS[3], 20) + "2012-03-01,-1,2,3,4,5,0\n")
    assert len(folders.settled().taken) == 1


def test_a_newer_file_takes_the_place_and_the_old_one_is_kept(folders: Folders):
    old = put(folders.native / "Data" / "Stocks", "AAPL", text(DAYS[:20], CLOSES[:20]))
    before = old.read_bytes()
    put(folders.drop, "AAPL", GOOD)
    assert len(folders.settled().taken) == 1
    assert old.read_bytes() == GOOD.encode()  # where the old one was
    [kept] = (folders.native / "replaced").iterdir()
    assert (kept.name.startswith("aapl.us.txt."), kept.read_bytes()) == (True, before)
    restated = GOOD.replace("20.02", "20.03")
    put(folders.drop, "AAPL", restated)
    assert len(folders.settled().taken) == 1
    assert folders.everything() == sorted([before, GOOD.encode(), restated.encode()])
    assert len(record_of(folders.drop)) == 2


@pytest.mark.parametrize("less", [text(DAYS[1:], CLOSES[1:]), text(DAYS[:-1], CLOSES[:-1])])
def test_a_file_with_less_history_is_refused(folders: Folders, less: str):
    """It may be cut where a line ends."""
    put(folders.native, "AAPL", GOOD)
    put(folders.drop, "AAPL", less)
    assert folders.settled().taken == ()
    assert f"and the file in place {DAYS[0]}..{DAYS[-1]}; remove" in refused(folders)["aapl.us.txt"]
    put(folders.native, "AAPL", "no history at all")
    put(folders.drop, "AAPL", less)
    assert len(folders.settled().taken) == 1


def test_the_same_file_again_is_no_news(folders: Folders):
    put(folders.native, "AAPL", GOOD)
    put(folders.drop, "AAPL", GOOD)
    found = folders.settled()
    assert (found.taken, record_of(folders.drop)) == ((), [])
    assert "has the same content already" in found.told[0]
    assert folders.everything() == [GOOD.encode()]


def test_two_files_of_one_name(folders: Folders):
    """The same twice is one; two that differ are both refused, since nobody can say which is meant."""
    for name in ("brk-b", "BRK_B"):
        put(folders.drop, "X", GOOD).rename(folders.drop / f"{name}.us.txt")
    [taken] = folders.settled().taken
    assert (taken.ticker, folders.everything()) == ("BRK.B", [GOOD.encode()])
    put(folders.drop, "BRK-B", text(DAYS[2:], CLOSES[2:]))
    put(folders.drop, "BRK.B", text(DAYS[3:], CLOSES[3:]))
    assert folders.settled().taken == ()
    assert set(refused(folders)) == {"brk-b.us.txt", "brk.b.us.txt"}
    assert "brk-b.us.txt and brk.b.us.txt are both of BRK.B and differ" in refused(folders)["brk-b.us.txt"]


def test_what_is_of_no_name_of_the_universe_stays_with_a_note(folders: Folders):
    for name in ("zzz.us.txt", "readme.md", "aapl.us.txt.part"):
        (folders.drop / name).write_text(GOOD)
    (folders.drop / ".aapl.us.txt").write_text(GOOD)
    (folders.drop / "aapl.us.txt").symlink_to(folders.drop / "zzz.us.txt")
    found = folders.settled()
    assert found.taken == ()
    [told] = found.told
    assert told.startswith(
        "waiting for a line of the universe file with their name (TICKER,kaggle,first session; a file is called TICKER.us.txt)"
    )
    assert told.endswith("aapl.us.txt.part, readme.md, zzz.us.txt")
    assert len(os.listdir(folders.drop)) == 5


def test_killed_between_record_and_move_it_is_moved_the_next_time(folders: Folders, monkeypatch: pytest.MonkeyPatch):
    put(folders.native, "AAPL", text(DAYS[:20], CLOSES[:20]))
    put(folders.drop, "AAPL", GOOD)
    folders.look()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("quant_assets.intake.os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            folders.look()
    assert NativeFiles(folders.native).file_of("AAPL") == folders.native / "aapl.us.txt"
    assert len(folders.look().taken) == 1
    assert (folders.native / "aapl.us.txt").read_text() == GOOD.replace("\r\n", "\n")
    assert [entry.sha256 for entry in record_of(folders.drop)] == [record_of(folders.drop)[0].sha256] * 2
    with (folders.drop / intake.RECORD).open("a") as record:
        record.write('{"ticker": "MS')  # half a line of a killed process
    put(folders.drop, "MSFT", GOOD)
    assert len(folders.settled().taken) == 1
    assert [entry.ticker for entry in record_of(folders.drop)] == ["AAPL", "AAPL", "MSFT"]


def test_a_folder_that_cannot_be_written_is_one_sentence(folders: Folders):
    put(folders.drop, "AAPL", GOOD)
    folders.native.write_text("a file")
    folders.look()
    with pytest.raises(LakeError, match=r"aapl\.us\.txt cannot be moved to the native files \(.*\); free disk space or make"):
        folders.look()
    assert (folders.drop / "aapl.us.txt").exists()


def test_ten_thousand_files(folders: Folders):
    """As many a look as a look has time for; each file is taken in once."""
    names = [f"T{number:05d}" for number in range(10_000)]
    for name in names:
        put(folders.drop, name, HEAD + line(DAYS[0], 20))
    sizes: intake.Sizes = {}
    looks, taken = 0, 0
    known = names[::10]
    while True:
        found = take_in(folders.drop, NativeFiles(folders.native), known, before=sizes, clock=lambda: FETCHED_AT)
        sizes, looks, taken = found.sizes, looks + 1, taken + len(found.taken)
        if not sizes:
            break
    assert (looks, taken) == (3, 1000)
    [told] = found.told
    assert told.endswith("t00001.us.txt, t00002.us.txt, t00003.us.txt, t00004.us.txt, t00005.us.txt and 8,995 more")
    assert len(list(folders.native.iterdir())) == 1000
