"""One list of lesion columns: a new entry reaches the table, the report and everything that reads a Result."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_head import AFFINE, make_head
from untrained import untrained_bundle

from TrainingCore.api import synthesize
from TrainingCore.data import lesion_columns
from TrainingCore.data.lesion_columns import LesionColumn
from TrainingCore.evaluation import lesions
from TrainingCore.imaging.volumes import write_volume
from TrainingCore.patient import synthesis


def test_names_are_unique_and_every_number_has_a_format() -> None:
    names = lesion_columns.column_names(measured=True)
    assert len(set(names)) == len(names)
    for column in lesion_columns.columns(measured=True):
        assert column.text or column.form.format(0.5)
        assert column.tooltip.endswith(".")


def test_measured_columns_mirror_the_synthetic_ones() -> None:
    assert [name for name in lesion_columns.column_names(measured=True) if name.startswith("measured_")] == [
        f"measured_{column.name}" for column in lesion_columns.COLUMNS if column.group == lesion_columns.DVR
    ]
    assert lesion_columns.titles()["volume_mm3"] == "volume (mm³)"
    assert "measured_mean_dvr" in lesion_columns.titles()
    assert "measured_sd_dvr" not in lesion_columns.titles()


def test_one_entry_adds_a_column_to_table_and_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = LesionColumn("diameter_mm", "diameter", "mm", "{:.1f}", "Diameter of a ball of this volume.", "place")
    monkeypatch.setattr(lesion_columns, "COLUMNS", [*lesion_columns.COLUMNS, entry])
    measured = lesions.lesion_table
    monkeypatch.setattr(
        synthesis,
        "lesion_table",
        lambda *a: [row | {"diameter_mm": (6 * row["volume_mm3"] / 3.1416) ** (1 / 3)} for row in measured(*a)],
    )
    head = make_head()
    for name in ("t1w", "flair", "lesions"):
        write_volume(tmp_path / f"{name}.nii.gz", head[name], AFFINE)
    files = {name: tmp_path / f"{name}.nii.gz" for name in ("t1w", "flair", "lesions")}
    result = synthesize(
        tmp_path / "result",
        t1=files["t1w"],
        flair=files["flair"],
        lesions=files["lesions"],
        model=str(untrained_bundle(tmp_path / "model")),
        device="cpu",
        progress="none",
    )
    assert result.lesions()[0]["diameter_mm"] == pytest.approx(
        (6 * result.lesions()[0]["volume_mm3"] / 3.1416) ** (1 / 3), rel=1e-3
    )
    assert "diameter (mm)" in result.report.read_text(encoding="utf-8")
