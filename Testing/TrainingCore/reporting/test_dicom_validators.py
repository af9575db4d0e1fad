"""What others read in our DICOM: dciodvfy of dicom3tools, and dcmqi. A test skips where one is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom")

from dicom_results import OBLIQUE, ROWS, turned

from TrainingCore.imaging.volumes import Volume, read_volume, resample
from TrainingCore.reporting.dicom.export import MAP, REPORT, SEGMENTATION


@pytest.mark.parametrize("name", [MAP, SEGMENTATION, REPORT])
def test_dciodvfy_finds_no_error(written, name):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (apt install dicom3tools)")
    said = subprocess.run(["dciodvfy", str(written[0] / name)], capture_output=True, text=True).stderr
    assert said.strip()
    assert [line for line in said.splitlines() if line.startswith("Error")] == []


def dcmqi(program: str, *arguments: object) -> None:
    """Run a program of dcmqi, which comes with its wheel (pip install dcmqi)."""
    spec = find_spec("dcmqi")
    path = shutil.which(program) or (spec and spec.origin and str(Path(spec.origin).parent / "bin" / program))
    if not path or not Path(path).is_file():
        pytest.skip("dcmqi is not installed (pip install dcmqi)")
    subprocess.run([path, *map(str, arguments)], check=True, capture_output=True)


def on_our_grid(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The values of a NIfTI file at the voxels of our arrays."""
    image = read_volume(path, may_be_empty=True)
    own = Volume(image.data, image.affine)
    return resample(own, arrays["dvr"].shape, turned(OBLIQUE), interpolation="nearest")


def test_dcmqi_reads_the_same_map(written, arrays, tmp_path):
    dcmqi("paramap2itkimage", "--inputDICOM", written[0] / MAP, "--outputDirectory", tmp_path, "-t", "nii")
    assert np.array_equal(on_our_grid(next(tmp_path.glob("*.nii.gz")), arrays), arrays["dvr"])
    about = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert about["QuantityValueCode"]["CodeValue"] == "DVR"
    assert about["MeasurementUnitsCode"]["CodeValue"] == "{ratio}"


def test_dcmqi_reads_the_same_lesions(written, arrays, tmp_path):
    dcmqi("segimage2itkimage", "--inputDICOM", written[0] / SEGMENTATION, "--outputDirectory", tmp_path, "-t", "nii")
    about = json.loads((tmp_path / "meta.json").read_text())
    segments = [one for group in about["segmentAttributes"] for one in group]
    assert [one["SegmentLabel"] for one in segments] == ["Lesion 1", "Lesion 3"]
    for segment, number in ((1, 1), (2, 3)):
        there = on_our_grid(tmp_path / f"{segment}.nii.gz", arrays)
        assert np.array_equal(there > 0, arrays["labels"] == number)


def test_dcmqi_reads_the_same_table(written, tmp_path):
    dcmqi("tid1500reader", "--inputDICOM", written[0] / REPORT, "--outputMetadata", tmp_path / "report.json")
    groups = json.loads((tmp_path / "report.json").read_text())["Measurements"]
    assert [group["TrackingIdentifier"] for group in groups] == ["Lesion 1", "Lesion 3"]
    assert [group["ReferencedSegment"] for group in groups] == [1, 2]
    for group, row in zip(groups, ROWS):
        values = {
            (one["quantity"]["CodeValue"], one.get("derivationModifier", {}).get("CodeMeaning")): float(one["value"])
            for one in group["measurementItems"]
        }
        assert values["118565006", None] == row["volume_mm3"]
        assert values["DVR", "Mean"] == row["mean_dvr"]
        assert values["DVR", "Minimum"] == row["min_dvr"]
        assert ("DVR_AROUND_RATIO", None) not in values
