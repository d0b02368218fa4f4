"""A folder of native files: real ones, and every way in which one can be wrong, up to the gate."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_assets.calendars import Window, sessions
from quant_assets.errors import NoData, SourceError
from quant_assets.schemas import TABLES
from quant_assets.settings import Settings, Vendor
from quant_assets.sources import source_named
from quant_assets.sources.native_files import HEADER, NativeFiles, native_folder, read_native, rounding, ticker_of
from quant_assets_tests.natives import HEAD, line, native_stooq, put, text
from quant_assets_tests.small import FETCHED_AT, store, workspace

D = dt.date
ALWAYS = Window(D(1990, 1, 1), D(2030, 1, 1))
YEAR = Window(D(2012, 1, 1), D(2013, 1, 1))
DAYS = sessions(YEAR)
CLOSES = [20 + 0.01 * place for place in range(len(DAYS))]
LISTINGS = "ticker,source,listed\nAAPL,kaggle,2012-01-03\nMSFT,kaggle,2012-01-03\n"


def rows_of(folder: Path, ticker: str, window: Window = ALWAYS) -> pl.DataFrame:
    source = NativeFiles(folder)
    return source.normalise(source.fetch([ticker], window), fetched_at=FETCHED_AT)


def test_real_files_are_rows_of_prices(shared: Path, tmp_path: Path):
    for ticker, n, first, last in [
        ("AAPL", 8364, D(1984, 9, 7), 174.67),
        ("AVB", 3201, D(2005, 2, 25), 187.16),
        ("GE", 14058, D(1962, 1, 2), 20.49),
        ("MSFT", 7983, D(1986, 3, 13), 83.87),
    ]:
        put(tmp_path, ticker, native_stooq(shared, ticker))
        rows = read_native(native_stooq(shared, ticker), ticker)
        assert (rows.height, rows["Date"][0], rows["Date"][-1], rows["Close"][-1]) == (n, first, D(2017, 11, 10), last)
        assert not rows.select(pl.any_horizontal(pl.col(HEADER[1:]).is_nan().any())).item()
        stored = TABLES["prices"].conform(rows_of(tmp_path, ticker).select(list(TABLES["prices"].schema)))
        assert set(stored["price_basis"]) == {"adjusted"}
        inside = stored.filter(pl.col("session") >= ALWAYS.start)
        assert inside.select(pl.col("known_at") > pl.col("session").cast(pl.Datetime("us", "UTC"))).to_series().all()
    source = NativeFiles(tmp_path)
    assert source.offers()["AVB"] == Window(D(2005, 2, 25), D(2017, 11, 11))
    assert list(source.offers(["KO", "GE"])) == ["GE"]


def test_the_empty_file_of_the_real_set_is_named(shared: Path, tmp_path: Path):
    put(tmp_path, "SAIL", native_stooq(shared, "SAIL"))
    assert list(NativeFiles(tmp_path).offers()) == ["SAIL"]
    with pytest.raises(NoData, match=r"^kaggle: sail\.us\.txt is empty; replace the file, or name another source\.$"):
        rows_of(tmp_path, "SAIL")
    with pytest.raises(NoData, match="has a header and no bar"):
        read_native(HEAD.encode(), "a.us.txt")


def test_the_bar_before_the_window_comes_along(tmp_path: Path):
    put(tmp_path, "AAPL", text(DAYS, CLOSES))
    july = rows_of(tmp_path, "AAPL", Window(D(2012, 7, 1), D(2012, 8, 1)))["session"].to_list()
    assert july == [D(2012, 6, 29), *sessions(Window(D(2012, 7, 1), D(2012, 8, 1)))]
    assert rows_of(tmp_path, "KO").is_empty()  # what is not there gives no rows


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            "<TICKER>,<PER>,<DATE>\nAAPL,D,20120103\n",
            "begins with '<TICKER>,<PER>,<DATE>' where Date,Open,High,Low,Close,Volume,OpenInt is",
        ),
        (line(DAYS[0], 20), "begins with '2012-01-03,20,20.2,19.8,20,1000,0' where"),
        (HEAD + "03/01/2012,1,1,1,1,1,0\r\n", "line 2 begins with no date: '03/01/2012,1,1,1,1,1,0'"),
        (HEAD + line(DAYS[0], 20) + "\r\n" + HEAD, "line 4 begins with no date: 'Date,Open,High,Low,Close,Volume,OpenInt'"),
        (HEAD.encode() + b"2012-01-03,\xff\xfe,1,1,1,1,0\n", "is no text (invalid utf-8 sequence)"),
        (HEAD.encode("utf-16"), "where Date,Open"),
        ("<html>404</html>", "begins with '<html>404</html>'"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(tmp_path: Path, content: str | bytes, told: str):
    put(tmp_path, "AAPL", content)
    with pytest.raises(SourceError) as refused:
        rows_of(tmp_path, "AAPL")
    assert told in str(refused.value)
    assert str(refused.value).startswith("kaggle: aapl.us.txt ")


def test_forms_that_mean_the_same_give_the_same_rows(tmp_path: Path):
    plain = text(DAYS, CLOSES)
    expected = rows_of(put(tmp_path / "0", "AAPL", plain).parent, "AAPL")
    shuffled = plain.splitlines(keepends=True)
    shuffled[3], shuffled[200] = shuffled[200], shuffled[3]
    for place, same in enumerate(
        ["\ufeff" + plain, plain.replace("\r\n", "\n"), plain.lower(), plain + "\r\n\r\n", plain.removesuffix("\r\n"), "".join(shuffled)]
    ):
        assert_frame_equal(rows_of(put(tmp_path / str(place + 1), "AAPL", same).parent, "AAPL"), expected, check_exact=True)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("2012-06-09,20,21,19,20,1000,0\r\n", "AAPL 2012-06-09: the exchange was closed that day"),
        (line(D(2012, 6, 7), 20), "AAPL 2012-06-07: more than one bar of the same session"),
        ("2012-06-07,20,21,19", "AAPL 2012-06-07: open is NaN, a price is above 0"),
        ("2012-06-07,20,21,19,n/a,1000,0\r\n", "AAPL 2012-06-07: close is NaN"),
        ("2012-06-07,20,21,19,20,,0\r\n", "AAPL 2012-06-07: volume is NaN"),
        ("2012-06-07,20,2,1,19,20,1000,0\r\n", "AAPL 2012-06-07: open is NaN"),
        ("2012-06-07,20,21,inf,20,1000,0\r\n", "AAPL 2012-06-07: low is inf"),
        ("2012-06-07,20,21,19,-20,1000,0\r\n", "AAPL 2012-06-07: close is -20.0"),
        ("", "AAPL 2012-06-07: no bar"),
    ],
)
def test_a_wrong_row_reaches_the_gate_and_stays_in_its_cell(tmp_path: Path, wrong: str, reason: str):
    work = workspace(tmp_path, listings=LISTINGS)
    good = text(DAYS, CLOSES)
    beside = wrong.startswith("2012-06-09") or wrong == line(D(2012, 6, 7), 20)
    lines = [each for each in good.splitlines(keepends=True) if beside or not each.startswith("2012-06-07")]
    put(tmp_path / "data/native", "AAPL", "".join(lines) + wrong)
    put(tmp_path / "data/native", "MSFT", good)
    result = store(work, ["AAPL", "MSFT"], ["2012"])
    [(cell, told)] = result.withheld.items()
    assert cell == ("AAPL", "2012")
    assert told.startswith(reason)
    assert set(work.lake.scan("prices").collect()["ticker"]) == {"MSFT"}
    quarantined = work.lake.scan("quarantine").collect()
    assert set(quarantined["session"]) == {D.fromisoformat(reason[5:15])}


def test_a_file_that_is_none_withholds_its_name_and_no_other(tmp_path: Path):
    work = workspace(tmp_path, listings=LISTINGS)
    put(tmp_path / "data/native", "AAPL", "")
    put(tmp_path / "data/native", "MSFT", text(DAYS, CLOSES))
    assert store(work, ["AAPL", "MSFT"], ["2012"]).withheld == {
        ("AAPL", "2012"): "kaggle: aapl.us.txt is empty; replace the file, or name another source."
    }
    assert work.lake.scan("prices").collect().height == len(DAYS)


@pytest.mark.parametrize(
    ("name", "ticker"),
    [
        ("brk-b.us.txt", "BRK-B"),
        ("brk_b.us.txt", "BRK-B"),
        ("brk.b.us.txt", "BRK.B"),
        ("BRK-B.US.TXT", "BRK.B"),
        ("Data/Stocks/brk-b.us.txt", "BRK.B"),
    ],
)
def test_a_file_is_found_however_its_name_is_spelled(tmp_path: Path, name: str, ticker: str):
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text(DAYS, CLOSES))
    assert list(NativeFiles(tmp_path).offers([ticker])) == [ticker]
    assert set(rows_of(tmp_path, ticker)["ticker"]) == {ticker}


def test_two_files_of_one_name_must_be_the_same(tmp_path: Path):
    put(tmp_path / "Stocks", "AAPL", text(DAYS, CLOSES))
    put(tmp_path / "ETFs", "AAPL", text(DAYS, CLOSES))
    for hidden in ("replaced", ".kagglehub"):
        put(tmp_path / hidden, "AAPL", "an old one")
    assert rows_of(tmp_path, "AAPL").height == len(DAYS)
    put(tmp_path / "ETFs", "AAPL", text(DAYS[1:], CLOSES[1:]))
    with pytest.raises(SourceError, match=r"AAPL has 2 files that differ: ETFs/aapl\.us\.txt, Stocks/aapl\.us\.txt; keep one of them"):
        rows_of(tmp_path, "AAPL")
    put(tmp_path, "AHL_D", text(DAYS, CLOSES))
    put(tmp_path, "AHL-D", text(DAYS[1:], CLOSES[1:]))
    assert rows_of(tmp_path, "AHL-D").height == len(DAYS) - 1  # named exactly so
    with pytest.raises(SourceError, match="2 files that differ"):
        rows_of(tmp_path, "AHL.D")


def test_names_of_other_files_are_none():
    for name in ("readme.md", ".us.txt", ".aapl.us.txt", "aapl.us.txt.part", "aapl.txt"):
        assert ticker_of(Path(name)) is None


def test_ten_thousand_files_are_offered_without_reading_them(tmp_path: Path):
    content = text(DAYS[:5], CLOSES[:5])
    for number in range(10_000):
        (tmp_path / f"t{number:05d}.us.txt").write_text(content)
    offered = NativeFiles(tmp_path).offers()
    assert len(offered) == 10_000
    assert set(offered.values()) == {Window(DAYS[0], DAYS[4] + dt.timedelta(days=1))}


def test_the_folder_is_a_setting(tmp_path: Path):
    assert native_folder(Settings(home=tmp_path)) == tmp_path / "data" / "native"
    elsewhere = Settings(home=tmp_path, sources={"kaggle": Vendor(folder=Path("mine"))})
    assert native_folder(elsewhere) == tmp_path / "mine"
    assert source_named(elsewhere, "prices", "kaggle").policy is None


@pytest.mark.parametrize(
    ("price", "off"), [(174.67, 0.005 / 174.67), (0.42388, 0.5e-5 / 0.42388), (0.0672, 0.5e-5 / 0.0672), (1.2, 0.5e-4 / 1.2)]
)
def test_rounding_is_that_of_five_digits_and_five_decimals(price: float, off: float):
    assert pl.DataFrame({"price": [price]}).select(rounding(pl.col("price"))).item() == pytest.approx(off, rel=1e-9)
