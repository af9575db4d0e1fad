"""Which visits are called unusual, and in which order a person sees them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from TrainingCore.reporting.qc_measures import MEASURES, deviations, normalised_information
from TrainingCore.reporting.qc_page import PreparedVisit, jpeg_size, write_page


def visits(count: int = 9) -> list[dict]:
    rng = np.random.default_rng(0)
    return [{"brain_ml": 1300 + 40 * rng.normal(), "moved_mm": abs(rng.normal()), "covered": 1.0} for _ in range(count)]


def test_a_small_brain_a_far_move_and_a_cut_flair_stand_out() -> None:
    rows = visits()
    rows[0]["brain_ml"], rows[1]["moved_mm"], rows[2]["covered"] = 600, 45.0, 0.6
    found = deviations(rows)
    assert found[0]["brain_ml"] < -3.5
    assert found[1]["moved_mm"] > 3.5
    assert found[2]["covered"] < -3.5
    assert all(abs(z) < 3.5 for row in found[3:] for z in row.values())


def test_equal_visits_do_not_stand_out_for_a_hair() -> None:
    rows = [{"brain_ml": 1300.0, "moved_mm": 0.0, "covered": 1.0} for _ in range(8)]
    rows[3] = {"brain_ml": 1310.0, "moved_mm": 0.5, "covered": 0.999}
    assert all(abs(z) < 1 for row in deviations(rows) for z in row.values())


def test_a_side_that_is_good_is_never_unusual() -> None:
    rows = [{"moved_mm": 20.0 + number, "covered": 0.8} for number in range(8)]
    rows[0] = {"moved_mm": 0.0, "covered": 1.0}
    assert deviations(rows)[0] == {"moved_mm": 0.0, "covered": 0.0}


def test_nothing_is_unusual_among_four() -> None:
    assert deviations(visits(4)) == [{}, {}, {}, {}]


def test_information_is_two_for_copies_and_one_for_strangers() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 50_000))
    assert normalised_information(one, one) == pytest.approx(2, abs=1e-6)
    assert normalised_information(one, -one) == pytest.approx(2, abs=0.02)
    assert normalised_information(one, other) == pytest.approx(1, abs=0.01)


def test_failures_come_first_then_warnings_then_outliers_and_names_are_no_html(tmp_path: Path) -> None:
    prepared = []
    for number, row in enumerate(visits()):
        measures = dict.fromkeys((one.key for one in MEASURES), None) | row
        if number == 4:
            measures["moved_mm"] = 60.0
        warnings = ["T1w and FLAIR look swapped <b>"] if number == 7 else []
        prepared.append(PreparedVisit(f"sub-P{number}", measures, warnings, tmp_path / "missing.jpg"))
    write_page(tmp_path, prepared, [{"visit": "sub-X", "reason": "<script>broken</script>"}], ["a note"])
    page = (tmp_path / "qc.html").read_text(encoding="utf-8")
    order = re.findall(r"<b>(sub-\w+)</b>", page)
    assert order[:3] == ["sub-X", "sub-P7", "sub-P4"]
    assert "&lt;script&gt;broken" in page
    assert "swapped &lt;b&gt;" in page
    assert page.count("<tbody>") == 9
    assert "Research use only" in page


def test_the_size_of_a_jpeg_is_read_from_its_header(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image").new("RGB", (123, 45))
    image.save(tmp_path / "a.jpg", progressive=True)
    assert jpeg_size((tmp_path / "a.jpg").read_bytes()) == (123, 45)
    assert jpeg_size(b"no picture at all") == (0, 0)
