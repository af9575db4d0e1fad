"""The page of a study describes its columns and says why something is not estimable."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from TrainingCore.evaluation.plausibility import Finding
from TrainingCore.reporting.group_page import SHOWN, _distributions, describe, write_group_page
from TrainingCore.reporting.plausibility_tables import plausibility_rows, pooled_plausibility_rows
from TrainingCore.study.group import statistics

COUNT = 7


def visits() -> list[dict[str, Any]]:
    """A visit each of COUNT people, the last without an EDSS."""
    return [
        dict.fromkeys(("qc", "session_id", "lesions_rejected", "change_dvr"))
        | dict.fromkeys(SHOWN, 1 + person / 10)
        | {
            "participant_id": f"sub-{person}",
            "lesion_source": "given",
            "simulated_training_data": False,
            "simulated_patient": False,
        }
        | {"edss": None if person == COUNT - 1 else f"{person}.5", "sex": "F" if person % 2 else "M"}
        for person in range(COUNT)
    ]


def test_columns_are_described_by_their_kind() -> None:
    measure, edss, sex = describe(visits(), ["lesion_dvr", "edss", "sex"], {"lesion_dvr": "mean lesion DVR"})
    assert measure == {
        "measure": "mean lesion DVR", "visits": 7, "median": "1.3", "quartiles": "1.15 to 1.45", "range": "1 to 1.6",
        "values": "",
    }  # fmt: skip
    assert (edss["visits"], edss["median"]) == (6, "3")
    assert (sex["values"], sex["median"]) == ("F 3, M 4", "")


def test_too_few_people_are_not_compared_and_the_page_says_so(tmp_path: Path) -> None:
    rows = visits()
    tables = statistics(rows, ["edss", "sex"], [], 0)
    assert {row["p"] for kind in tables.values() for row in kind} == {None}
    titles = dict.fromkeys([*SHOWN, *(row["measure"] for kind in tables.values() for row in kind)], "measure")
    write_group_page(tmp_path / "group.html", rows, [], tables, [], tmp_path, titles, {})
    page = (tmp_path / "group.html").read_text(encoding="utf-8")
    assert "fewer than 8 people with all values" in page
    assert "fewer than 5 people in a group" in page
    assert "Group comparisons are not adjusted" in page
    assert "F 3, M 4" in page


def test_a_covariate_that_does_not_vary_is_mentioned(tmp_path: Path) -> None:
    rows = [row | {"site": "Paris", "age": str(30 + index)} for index, row in enumerate(visits())]
    tables = statistics(rows, ["edss"], ["site", "age"], 0)
    titles = dict.fromkeys([*SHOWN, *(row["measure"] for kind in tables.values() for row in kind)], "measure")
    write_group_page(tmp_path / "group.html", rows, [], tables, ["site", "age"], tmp_path, titles, {})
    page = (tmp_path / "group.html").read_text(encoding="utf-8")
    assert "site has the same value in all visits" in page
    assert "age has the same value" not in page


def test_labels_of_nearly_equal_values_do_not_overlap() -> None:
    rows = [row | dict.fromkeys(SHOWN, 1.10803 + index * 2e-5) for index, row in enumerate(visits())]
    figure = _distributions(rows, dict.fromkeys(SHOWN, "measure"))
    figure.canvas.draw()
    for axis in figure.axes:
        boxes = [label.get_window_extent() for label in axis.get_xticklabels() if label.get_text()]
        assert all(left.x1 < right.x0 for left, right in pairwise(sorted(boxes, key=lambda box: box.x0)))
        assert not axis.xaxis.get_offset_text().get_text()


def test_the_plausibility_of_all_maps_is_counted_and_the_failing_ones_are_named(tmp_path: Path) -> None:
    def checked(white: bool, lesions: bool | None) -> list[Finding]:
        return [
            Finding("white above grey", 0.1, "DVR", 9, "above 0", white),
            Finding("lesions below", None if lesions is None else 0.9, "share", 3, "80 %", lesions),
        ]

    findings = {"sub-0": checked(True, True), "sub-1": checked(True, False), "sub-2": checked(True, None), "sub-3": []}
    white, lesions = pooled_plausibility_rows(findings)
    assert (white["holds in"], white["fails in"]) == ("3 of 3", "")
    assert (lesions["holds in"], lesions["fails in"], lesions["mean"]) == ("1 of 2", "sub-1", "0.90")
    many = pooled_plausibility_rows({f"sub-{number}": checked(False, True) for number in range(13)})
    assert many[0]["fails in"].endswith("sub-9 and 3 more")
    rows = visits()
    tables = statistics(rows, [], [], 0)
    write_group_page(tmp_path / "group.html", rows, [], tables, [], tmp_path, dict.fromkeys(SHOWN, "x"), findings)
    assert "white above grey" in (tmp_path / "group.html").read_text(encoding="utf-8")


def test_simulated_patients_are_said_and_counted_if_others_are_not(tmp_path: Path) -> None:
    sentence = "Simulated patient: these images are from a phantom, not from a scanner."
    for simulated, words in ((0, None), (2, f"{sentence} (2 of 7 visits)"), (COUNT, f"{sentence}<")):
        rows = [row | {"simulated_patient": number < simulated} for number, row in enumerate(visits())]
        tables = statistics(rows, [], [], 0)
        write_group_page(tmp_path / "group.html", rows, [], tables, [], tmp_path, dict.fromkeys(SHOWN, "x"), {})
        page = (tmp_path / "group.html").read_text(encoding="utf-8")
        assert words in page if words else "Simulated" not in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [(51 / 64, "0.797"), (-0.004, "-0.004"), (0.004, "0.004"), (0.997, "0.997"), (0.5, "0.50"), (1.0, "1.00")],
)
def test_a_value_beside_a_limit_is_not_shown_as_the_limit(value: float, shown: str) -> None:
    (row,) = plausibility_rows([Finding("check", value, "unit", 9, "expected", True)])
    assert row["this map"] == shown
