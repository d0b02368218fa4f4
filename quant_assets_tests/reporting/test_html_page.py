from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from plotly.offline import get_plotlyjs

from quant_assets.reporting.html_page import render, write_html
from quant_assets.reporting.inputs import ReportInputs
from quant_assets.reporting.wording import number, percent, sentence, signed, skill_findings, today_finding
from quant_assets.validation.skill import Skill
from quant_assets_tests.reporting.samples import RECORD, sample, without_scores, without_trades

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\"'&{{ 7 * 7 }}"
LOADING = {"src", "srcset", "href", "data", "poster", "background", "action", "formaction", "xlink:href"}


class Page(HTMLParser):
    """Elements with their attributes, the text of each script, and the visible text by the id of its section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.sections: dict[str, str] = {}
        self._inside = ""
        self._section = "header"
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self._inside = tag if tag in ("script", "style") else ""
        if tag in ("section", "article") and attributes.get("id"):
            self._section = str(attributes["id"])
        if tag == "script" and "type" not in attributes:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script" and self.elements[-1][1].get("type") is None:
            self.scripts[-1] += data
        if not self._inside:
            self.sections[self._section] = self.sections.get(self._section, "") + data

    def charts(self) -> int:
        return sum(tag == "figure" for tag, _ in self.elements)


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return sample()


@pytest.fixture(scope="module")
def text(inputs: ReportInputs) -> str:
    return render(inputs)


def test_nothing_is_loaded_from_anywhere(text: str) -> None:
    page = Page(text)
    loads = [(tag, name, value) for tag, attributes in page.elements for name, value in attributes.items() if name in LOADING]
    assert [load for load in loads if not (load[0] == "a" and str(load[2]).startswith("#"))] == []
    assert not {"link", "img", "iframe", "object", "embed"} & {tag for tag, _ in page.elements}
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_plotly_is_in_the_page_once_and_the_page_is_light(text: str) -> None:
    assert text.count(get_plotlyjs()) == 1
    assert len(text.encode()) < 8_000_000


def test_the_policy_names_each_script_by_its_hash_and_allows_nothing_else(text: str) -> None:
    page = Page(text)
    policy = next(
        str(attributes["content"]) for tag, attributes in page.elements if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in page.scripts]
    assert len(hashes) == 3
    assert f"default-src 'none'; script-src {' '.join(hashes)};" in policy


def test_identical_inputs_give_identical_bytes_whatever_their_row_order(inputs: ReportInputs, text: str, tmp_path: Path) -> None:
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.sample(fraction=1, shuffle=True, seed=7)

    again = replace(
        sample(),
        report=shuffled(inputs.report),
        synthesis=shuffled(inputs.synthesis),
        prices=shuffled(inputs.prices),
        equity=shuffled(inputs.equity),
        performance=list(reversed(inputs.performance)),
        importances=list(reversed(inputs.importances)),
    )
    path = tmp_path / "signals" / "daily_report_2013-03-01.html"
    write_html(again, path)
    assert path.read_bytes() == text.encode()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_record_comes_before_the_ranking_and_is_plain_about_a_coin_flip(text: str) -> None:
    assert text.index('id="record"') < text.index('id="ranking"')
    record = Page(text).sections["record"]
    assert "indistinguishable from a coin flip: AUC 0.509, and the 95 % interval 0.497 to 0.520 contains 0.5." in record
    assert "23,012" in record
    assert "2009-01-02 to 2013-02-26" in record
    assert "0.98 %" in record


def test_a_year_and_a_name_of_few_sessions_are_a_dot_without_an_interval(text: str) -> None:
    record = text[text.index('<section id="record">') : text.index('<section id="ranking">')]
    for label in ("2013: AUC 0.487, interval n/a", "WMT: AUC 0.515, interval n/a"):
        mark = record[record.index(f'aria-label="{label}"') :].partition("</td>")[0]
        assert 'class="dot"' in mark
        assert 'class="range"' not in mark
    assert record.count('class="range"') == 2 + 4 + 21
    assert record.count("interval from 105 sessions on") == 2


def test_a_record_of_few_sessions_says_so(inputs: ReportInputs) -> None:
    short = replace(RECORD, n_sessions=37, auc_low=None, auc_high=None, rank_ic_low=None, rank_ic_high=None, by_year=())
    record = Page(render(replace(inputs, record=replace(inputs.record, decides=short)))).sections["record"]
    assert "37 sessions are too few for an interval (limit 105)" in record
    assert "fewer than 105 sessions have one" in record


def test_the_header_says_when_for_whom_and_how_many(text: str) -> None:
    header = re.sub(r"\s+", " ", Page(text).sections["header"])
    assert "Signals for 2013-03-01" in header
    assert "2013-03-01 21:00 UTC · profile offline · 23 names" in header
    assert "22 scored" in header
    assert "1 too little history" in header


def test_a_name_without_a_score_is_listed_with_its_reason(text: str) -> None:
    ranking = Page(text).sections["ranking"]
    assert "Without a score" in ranking
    assert "196 bars up to 2013-03-01" in ranking
    assert "IV risk is n/a for all names: no option chain in this profile." in ranking


def test_without_trades_there_are_words_and_no_figures(inputs: ReportInputs) -> None:
    page = Page(render(without_trades(inputs)))
    for section in ("rules", "AAPL"):
        assert page.sections[section].count("no trades") == 3
        assert "No trades: nothing was bought from 2009-01-02 to 2013-03-01." in page.sections[section]
        assert not re.search(r"\d %", page.sections[section].split("Its own $10,000")[-1])
    assert "No rule has traded, so there is no equity to draw." in page.sections["rules"]
    assert page.charts() == inputs.report.height  # the price chart of each name, no equity


def test_the_trades_column_counts_entries_and_the_open_ones_among_them(inputs: ReportInputs, text: str) -> None:
    shown = re.findall(r"</span>Buy and hold</th>\n<td>.*<td>([^<]*)</td>\n</tr>", text)
    accounts = [row for row in inputs.performance if row.strategy == "buy_and_hold"]
    assert {row.figures.n_trades for row in accounts} == {0}
    assert shown == ["4", "1", "1", "1", "1"]
    assert text.count('title="Entries, those still open included">Trades</th>') == len(shown)


def test_an_idle_rule_beside_busy_ones_is_named_and_not_drawn(text: str) -> None:
    ibm = Page(text).sections["IBM"]
    assert ibm.count("no trades") == 2  # its row in the table, and the caption of the chart
    assert "Not drawn, no trades: threshold." in ibm


def test_an_adjusted_name_is_said_not_to_be_a_traded_price(text: str) -> None:
    sections = Page(text).sections
    assert "adjusted close only, not a traded price" in sections["KO"]
    assert "KO has no account" in sections["KO"]
    assert "not a traded price" not in sections["AAPL"]


def test_the_first_night_has_words_for_everything_that_is_missing(inputs: ReportInputs) -> None:
    sections = Page(render(without_scores(inputs))).sections
    assert "nothing can be said about the model" in sections["record"]
    assert "No name has a score today" in sections["ranking"]
    assert "No account has run yet" in sections["rules"]
    assert "No model has been trained" in sections["model"]
    assert "Nothing to note" in sections["notes"]
    assert "No synthesis was written for AAPL." in sections["AAPL"]
    assert "nan" not in " ".join(sections.values()).lower().split()


def test_an_unproven_model_is_labelled(text: str) -> None:
    model = Page(text).sections["model"]
    assert "Unproven: out-of-sample AUC 0.509, interval 0.497 to 0.520 includes 0.5." in model
    assert "5f0c2d6e9a7b4e51b8d3c1f2a4960e77" in model


def test_a_caveat_on_a_scored_name_is_shown(inputs: ReportInputs) -> None:
    caveat = "the interval rests on 60 members"
    report = inputs.report.with_columns(reason=pl.when(pl.col("ticker") == "AAPL").then(pl.lit(caveat)).otherwise("reason"))
    sections = Page(render(replace(inputs, report=report))).sections
    assert caveat in sections["ranking"]
    assert "The interval rests on 60 members." in sections["AAPL"]


def hostile(inputs: ReportInputs) -> ReportInputs:
    """Foreign text in every place that takes text."""
    assert inputs.model is not None
    return replace(
        inputs,
        report=inputs.report.with_columns(
            reason=pl.lit(HOSTILE), iv_risk=pl.lit(HOSTILE), top_option=pl.lit(HOSTILE), verdict=pl.lit(HOSTILE), confidence=pl.lit(HOSTILE)
        ),
        synthesis=inputs.synthesis.with_columns(
            verdict=pl.lit(HOSTILE), thesis=pl.lit(HOSTILE), risks=pl.concat_list(pl.lit(HOSTILE)), writer=pl.lit(HOSTILE)
        ),
        importances=[(HOSTILE, 1.0)],
        model=replace(inputs.model, name=HOSTILE, run_id=HOSTILE, feature_set=HOSTILE, unproven=HOSTILE),
        notes=[HOSTILE],
        profile=HOSTILE,
    )


def test_foreign_text_stays_text(inputs: ReportInputs) -> None:
    page = Page(render(hostile(inputs)))
    assert len(page.scripts) == 3
    assert "img" not in {tag for tag, _ in page.elements}
    for section in ("header", "ranking", "AAPL", "model", "notes"):
        assert HOSTILE in page.sections[section]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "indistinguishable from a coin flip"),
        ({"auc_low": 0.503}, "beat a coin flip"),
        ({"auc_low": 0.50004}, "the 95 % interval 0.50004 to 0.52030 lies above 0.5."),
        ({"auc_high": 0.499, "auc": 0.49}, "worse than a coin flip"),
        (
            {"n_sessions": 37, "auc_low": None, "auc_high": None},
            "Out of sample: AUC 0.509; 37 sessions are too few for an interval (limit 105), so nothing can be said about the model.",
        ),
        ({"auc": None}, "nothing can be said"),
    ],
)
def test_the_first_finding_follows_the_interval(changes: dict[str, float | None], expected: str) -> None:
    assert expected in skill_findings(replace(RECORD, **changes))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "a random one: mean rank IC +0.011, and the 95 % interval −0.002 to +0.024 contains 0."),
        ({"rank_ic_low": 0.001}, "did better on average: mean rank IC +0.011, and the 95 % interval +0.001 to +0.024 lies above 0."),
        ({"rank_ic_low": 0.0003}, "the 95 % interval +0.0003 to +0.0241 lies above 0."),
        ({"rank_ic": -0.01, "rank_ic_high": -0.001}, "did worse on average: mean rank IC −0.010, and the 95 % interval −0.002 to −0.001"),
        ({"rank_ic_low": None, "rank_ic_high": None}, "mean rank IC +0.011; fewer than 105 sessions have one, too few for an interval"),
        ({"rank_ic": None}, "needs several names"),
    ],
)
def test_the_second_finding_follows_the_rank_ic(changes: dict[str, float | None], expected: str) -> None:
    assert expected in skill_findings(replace(RECORD, **changes))[1]  # type: ignore[arg-type]


def test_the_third_finding_compares_log_losses() -> None:
    assert "worse than always saying the base rate, by 0.00055 nats" in skill_findings(RECORD)[2]
    assert "better" in skill_findings(replace(RECORD, log_loss=0.69))[2]
    assert len(skill_findings(Skill(0, 0, 0))) == 1


def test_today_in_a_sentence_for_many_names_and_for_one(inputs: ReportInputs) -> None:
    assert today_finding(inputs.report, inputs.bands).startswith("22 names scored: 0.486 to 0.549. All NEUTRAL (between 0.38 and 0.62)")
    one = inputs.report.filter(pl.col("ticker") == "AAPL").with_columns(score=pl.lit(0.7), signal=pl.lit("BULL"))
    assert today_finding(one, inputs.bands) == "1 name scored: 0.700. Above the threshold of 0.65: AAPL."


def test_numbers_are_printed_with_their_sign_and_absence_in_words() -> None:
    assert (number(-0.0121), number(-0.0001), number(None), number(float("nan"))) == ("−0.012", "0.000", "n/a", "n/a")
    assert (signed(0.0171), signed(-0.0171), signed(0.0)) == ("+0.017", "−0.017", "0.000")
    assert (percent(0.0123), percent(-0.5, 0), percent(None)) == ("1.2 %", "−50 %", "n/a")
    assert sentence("unproven: AUC 0.5") == "Unproven: AUC 0.5."


def test_the_data_section_leads_with_what_is_there_and_lists_who_needs_a_look(inputs: ReportInputs, text: str) -> None:
    section = text[text.index('<section id="data">') : text.index('<section id="notes">')]
    assert "At the scorecard of 2013-03-01, 99.30 % of the 6,693 expected sessions are there, of 23 series." in section
    assert (
        "1 value put right, 1 value in quarantine, 2 values that another source gives differently, 0 rows of the last sessions" in section
    )
    assert "Beside them 9 rows of 1 table without a row a session." in section
    assert "none of 23 names ended in 299 name-years; more than 1.0 % of endings a year would make that unlikely" in section
    assert re.findall(r'<tr><th scope="row">(\w+)</th>', section) == ["WMT", "XOM", "AAPL", "AMD"]
    assert 'aria-label="27 good, 6 missing, 27 good"' in section
    assert "20 series have every session, nothing put right, kept out or in doubt" in section
    assert section.count('<span title="') == 60
    assert "no row at all" not in section
    none = render(replace(inputs, scorecard=inputs.scorecard.clear()))
    assert "No scorecard has been written yet" in none
    kept = pl.when(pl.col("ticker") == "KO").then(0).otherwise("present").cast(pl.Int64).alias("present")
    broken = inputs.scorecard.with_columns(broken=pl.when(pl.col("ticker") == "KO").then(2).otherwise(0).cast(pl.Int64))
    assert "2 stored values cannot be true (prices of KO): changed since they were let in." in render(replace(inputs, scorecard=broken))
    assert "1 of 23 have no row at all: KO." in render(replace(inputs, scorecard=inputs.scorecard.with_columns(kept)))
