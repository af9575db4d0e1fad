"""One list of lesion columns: a new entry reaches the table, the report and everything that reads a Result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_head import AFFINE, make_head
from untrained import untrained_bundle

from TrainingCore.api import synthesize
from TrainingCore.data import lesion_columns
from TrainingCore.data.lesion_columns import LesionColumn
from TrainingCore.evaluation.lesions import lesion_table
from TrainingCore.imaging.volumes import read_volume, write_volume


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
    entry = LesionColumn("median_dvr", "median", "DVR", "{:.2f}", "Median synthetic DVR.", measure=np.median)
    monkeypatch.setattr(lesion_columns, "COLUMNS", [*lesion_columns.COLUMNS, entry])
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
    rows = result.lesions()
    assert rows
    labels, dvr = read_volume(result.path / "lesion_labels.nii.gz").data, read_volume(result.path / "dvr.nii.gz").data
    for row in rows:
        assert row["median_dvr"] == pytest.approx(np.median(dvr[labels == row["id"]]), rel=1e-3)
    assert ">median</th>" in result.report.read_text(encoding="utf-8")


def test_an_entry_measures_the_measured_map_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = LesionColumn("max_dvr", "max", "DVR", "{:.2f}", "Highest synthetic DVR.", measure=np.max)
    monkeypatch.setattr(lesion_columns, "COLUMNS", [*lesion_columns.COLUMNS, entry])
    labels = np.zeros((4, 4, 4), np.int32)
    labels[0, 0, :2], labels[2, 2, 2], labels[3, 3, 3] = 1, 2, 3
    dvr = np.random.default_rng(0).random(labels.shape)
    measured = np.where(labels == 3, np.nan, dvr + 1)
    rows = lesion_table(labels, dvr, labels == 0, np.eye(4), measured)
    assert [row["max_dvr"] for row in rows] == [dvr[labels == label].max() for label in (1, 2, 3)]
    assert rows[0]["measured_max_dvr"] == dvr[labels == 1].max() + 1
    assert rows[2]["measured_max_dvr"] is None
