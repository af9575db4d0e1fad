"""The lesion table of a report fits on a page: values that belong together share a column."""

from __future__ import annotations

from TrainingCore.reporting.document import Report
from TrainingCore.reporting.patient_lesions import report_formats, report_rows

LESION = {
    **{"id": 1, "region": "periventricular", "volume_mm3": 87.4, "x_mm": 27.2, "y_mm": -11.4, "z_mm": 7.0},
    **{"mean_dvr": 1.052, "sd_dvr": 0.031, "estimated_loss": 0.28, "estimated_loss_low": 0.0},
    **{"estimated_loss_high": 0.594, "dvr_low": 0.9, "dvr_high": 1.2, "t1w_contrast": -1.084},
}


def test_values_that_belong_together_share_a_column() -> None:
    (row,) = report_rows([LESION])
    assert row["centre (mm)"] == "27, -11, 7"
    assert row["mean DVR, SD"] == "1.05 \N{PLUS-MINUS SIGN} 0.03"
    assert row["myelin loss, estimated (95 %)"] == "28% (0%\N{EN DASH}59%)"
    assert row["95 % interval of DVR"] == "0.90\N{EN DASH}1.20"
    assert row["T1w contrast"] == -1.084
    assert not {"x", "SD", "to"} & set(row)
    page = Report("title").add_table([row], formats=report_formats()).html()
    assert ">-1.08<" in page
    assert ">87<" in page


def test_what_was_not_measured_has_no_column_or_an_empty_cell() -> None:
    known = dict.fromkeys(LESION) | {
        "id": 1,
        "volume_mm3": 20.0,
        "mean_dvr": 1.0,
        "x_mm": 1.0,
        "y_mm": 2.0,
        "z_mm": 3.0,
    }
    assert list(report_rows([known])[0]) == ["lesion", "volume (mm³)", "centre (mm)", "mean DVR"]
    first, second = report_rows([LESION, LESION | {"estimated_loss": None, "id": 2}])
    assert first["myelin loss, estimated (95 %)"]
    assert second["myelin loss, estimated (95 %)"] is None
    assert report_rows([]) == []
