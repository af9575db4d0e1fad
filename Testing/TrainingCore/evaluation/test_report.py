"""A report is one file that needs no network, hides nothing and says what it is."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from TrainingCore import RESEARCH_USE
from TrainingCore.data.lesion_columns import titles
from TrainingCore.reporting.document import SIMULATED_BANNER, Report, png_bytes
from TrainingCore.reporting.patient_lesions import report_formats, report_rows


def picture() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, 1], [0, 1])
    return figure


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_is_one_file_with_everything_inside(tmp_path: Path):
    report = Report("Evaluation", banners=[SIMULATED_BANNER])
    report.add_heading("Part").add_text("One.\n\nTwo.").add_table([{"a": 1, "b": 0.12345}], caption="Numbers")
    report.add_figure(picture(), "A line", alt="A rising line").write(tmp_path / "deep" / "report.html")
    text = (tmp_path / "deep" / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    sources = [value for _, attributes in tags.found for name, value in attributes.items() if name in {"src", "href"}]
    assert len(sources) == 1
    assert sources[0].startswith("data:image/png;base64,")
    assert not re.search(r"https?://|<script|<link|@import|url\(", text)
    assert [attributes["alt"] for tag, attributes in tags.found if tag == "img"] == ["A rising line"]
    assert text.index(RESEARCH_USE) < text.index(SIMULATED_BANNER) < text.index("<h1>Evaluation</h1>")
    assert "<p>One.</p>" in text
    assert "0.123<" in text


def test_what_a_file_name_brings_is_never_html():
    report = Report("<script>alert(1)</script>", banners=["<b>x</b>"]).add_text("<img src=x>")
    report.add_table([{"<i>": "<u>"}], caption='"><script>').add_figure(picture(), "<em>", alt='"><script>')
    text = report.html()
    assert "<script" not in text
    assert not re.search(r"<(b|i|u|em)>", text)
    assert "&lt;u&gt;" in text


def test_what_is_missing_is_said():
    table = Report("t").add_table([{"r": None}, {"r": float("nan")}, {"r": 0.5}]).add_table([], caption="Lesions")
    text = table.add_table([], caption="Largest first.").html()
    assert text.count("not estimable") == 2
    assert "Lesions: none." in text
    assert "Largest first: none." in text


def test_tables_follow_columns_titles_and_formats():
    text = (
        Report("t")
        .add_table(
            [{"a": 1.0, "b": True, "c": 3}],
            columns=["c", "a", "b"],
            titles={"a": "Volume (mm3)"},
            formats={"a": "{:.1f}"},
        )
        .html()
    )
    assert re.search(r">c</th>.*>Volume \(mm3\)</th>.*>b</th>", text)
    assert re.search(r">3</td>.*>1\.0</td>.*>yes</td>", text)


def test_the_same_figure_gives_the_same_bytes_and_other_bytes_are_refused():
    assert png_bytes(picture()) == png_bytes(picture())
    with pytest.raises(ValueError, match="PNG"):
        Report("t").add_figure(b"GIF89a", "no")


def test_pictures_beside_a_report_say_what_they_are(tmp_path: Path):
    from PIL import Image

    plain = Report("t", figures=tmp_path / "plain").add_figure(picture(), "A line", "A rising line")
    plain.add_figure(picture(), "A line", "A rising line")
    Report("t", [SIMULATED_BANNER], tmp_path / "simulated").add_figure(picture(), "A line", name="line")
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == ["a-rising-line-2.png", "a-rising-line.png"]
    height = Image.open(io.BytesIO(png_bytes(picture()))).height
    strips = []
    for path in (tmp_path / "plain" / "a-rising-line.png", tmp_path / "simulated" / "line.png"):
        strip = np.asarray(Image.open(path).convert("L"))[height:]
        assert strip[[0, -1]].min() == 255  # nothing is cut off
        strips.append(np.flatnonzero((strip < 200).any(axis=0)))
    assert 0 < np.ptp(strips[0]) < np.ptp(strips[1])  # "Simulated data." comes before


def test_a_number_with_its_sd_stays_on_one_line_and_words_break_before_a_table_scrolls():
    row = {"measure": "MAE in lesions", "one": "0.638 (0.154)", "person": "sub-A01_ses-1", "paper": "a " * 30, "n": 3}
    text = Report("Evaluation").add_table([row]).html()
    classes = dict(re.findall(r'<td class="(\w*)">([^<]*)</td>', text))
    assert classes == {"words": "MAE in lesions", "long": "a " * 30, "number": "3", "": "sub-A01_ses-1"}
    assert '<td class="">0.638 (0.154)</td>' in text


@pytest.mark.parametrize(("columns", "kind"), [(9, None), (10, "wide"), (12, "wide"), (13, "wide widest")])
def test_tables_of_many_columns_have_smaller_letters(columns: int, kind: str | None) -> None:
    tags = Tags()
    tags.feed(Report("t").add_table([{f"c{number}": 1.0 for number in range(columns)}]).html())
    assert [attributes.get("class") for tag, attributes in tags.found if tag == "table"] == [kind]


def test_the_table_of_all_lesion_columns_fits_the_page(
    tmp_path: Path, first_table_width: Callable[[Path, int], tuple[int, int]]
) -> None:
    row = dict.fromkeys(titles(), 0.8765) | {"id": 101, "region": "deep white matter", "volume_mm3": 12345.0}
    row |= {"x_mm": -41.0, "y_mm": -81.0, "z_mm": -29.0}
    report = Report("Map").add_table(report_rows([row]), "Largest first", formats=report_formats())
    report.write(tmp_path / "report.html")
    width, needed = first_table_width(tmp_path / "report.html", 1280)
    assert needed <= width
