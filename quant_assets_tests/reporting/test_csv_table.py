from __future__ import annotations

import csv
import os
from pathlib import Path

import polars as pl
import pytest

from quant_assets.errors import QuantAssetsError
from quant_assets.reporting.csv_table import write_csv
from quant_assets_tests.reporting.samples import sample, without_scores

HEADER = "Ticker,Rank,Signal,Score,Base rate,CI,IV risk,Top option,Verdict,Confidence"


def written(report: pl.DataFrame, folder: Path) -> list[dict[str, str]]:
    path = folder / "outputs" / "daily_report_2013-03-01.csv"
    write_csv(report, path)
    assert path.read_text(encoding="utf-8").splitlines()[0] == HEADER
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_by_rank_with_the_scores_of_the_table(tmp_path: Path) -> None:
    report = sample().report
    rows = written(report.sample(fraction=1, shuffle=True, seed=1), tmp_path)
    assert [row["Rank"] for row in rows[:-1]] == [str(rank) for rank in range(1, 23)]
    expected = {row["ticker"]: row for row in report.iter_rows(named=True)}
    for row in rows[:-1]:
        source = expected[row["Ticker"]]
        assert float(row["Score"]) == pytest.approx(source["score"], abs=5e-5)
        low, high = row["CI"].split(" to ")
        assert (float(low), float(high)) == pytest.approx((source["ci_low"], source["ci_high"]), abs=5e-5)


def test_a_name_without_a_score_is_last_and_every_empty_cell_says_why(tmp_path: Path) -> None:
    last = written(sample().report, tmp_path)[-1]
    assert last["Ticker"] == "FB"
    for column in ("Rank", "Signal", "Score", "Base rate", "CI"):
        assert last[column].startswith("n/a (196 bars up to 2013-03-01")
        assert last[column].endswith("long enough)")


def test_no_cell_is_ever_empty(tmp_path: Path) -> None:
    report = without_scores(sample()).report.with_columns(reason=pl.lit(None, dtype=pl.String))
    rows = written(report, tmp_path)
    assert rows[0]["Score"] == "n/a (too_little_history)"
    assert all(cell for row in rows for cell in row.values())


def test_a_score_without_an_interval_says_so(tmp_path: Path) -> None:
    report = sample(("AAPL",), ()).report.with_columns(ci_low=pl.lit(None, dtype=pl.Float64))
    assert written(report, tmp_path)[0]["CI"] == "n/a (not computed)"


def test_writing_again_changes_no_byte(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    write_csv(sample().report, path)
    before = path.read_bytes()
    write_csv(sample().report, path)
    assert path.read_bytes() == before


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.csv"
    path.write_text("yesterday", encoding="utf-8")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(QuantAssetsError, match=r"No space left on device\); set `paths.outputs`"):
        write_csv(sample().report, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.csv"]
    assert path.read_text(encoding="utf-8") == "yesterday"


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(QuantAssetsError, match="cannot be written"):
        write_csv(sample().report, tmp_path / "outputs" / "report.csv")
