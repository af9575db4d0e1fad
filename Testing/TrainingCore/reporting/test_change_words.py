"""The sentences about two visits: no signed zero, and no command line options where there are none."""

from __future__ import annotations

from typing import Any

from TrainingCore.data.lesion_columns import change_columns, formats
from TrainingCore.reporting.change_words import describe_changes
from TrainingCore.reporting.document import Report

SUMMARY: dict[str, Any] = {
    "visits": {"before": "1", "after": "2"},
    "lesions": 2,
    "by_change": {"demyelinating": 1, "stable": 1},
    "mean_difference": -0.0003,
    "nawm": {"difference": -0.0001, "expected": 0.01},
    "relative_to_nawm": {"by_change": {"demyelinating": 1}, "mean_difference": -0.0002},
    "limit": 1.0,
    "voxels": {"demyelination_index": None},
    "repeatability": "more than 0.100 DVR",
    "models_differ": False,
}


def test_a_change_that_rounds_to_zero_has_no_sign() -> None:
    words = describe_changes(SUMMARY)
    assert "-0.000" not in words
    assert words.count(" 0.000 DVR") == 3
    report = Report("Change", [])
    report.add_table([{"difference": -0.0001}], "", ["difference"], formats=formats(change_columns()))
    assert "-0.000" not in report.html()


def test_slicer_names_no_option_of_the_command_line() -> None:
    for summary in (SUMMARY, SUMMARY | {"repeatability": None}):
        assert "--" in describe_changes(summary)
        words = describe_changes(summary, name_options=False)
        assert "--" not in words
        assert "Relative to NAWM, 1 would be demyelinating and 0 would be remyelinating." in words
