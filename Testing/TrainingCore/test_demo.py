"""`python -m TrainingCore.demo`: the README's first command after the install."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from TrainingCore.demo import main


def test_the_demo_makes_a_map_a_lesion_table_and_a_report_that_says_simulated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert main(["--out", str(out), "--progress", "none"]) == 0
    assert (out / "dvr.nii.gz").stat().st_size > 100_000
    lesions = (out / "lesions.csv").read_text().splitlines()
    assert "measured_mean_dvr" in lesions[0]
    assert len(lesions) > 1
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("Research use only, not for diagnosis", "Simulated patient", "Simulated training data"):
        assert words in page
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["simulated_patient"] is True
    dvr = provenance["summary"]["synthetic_dvr"]
    assert dvr["nawm"]["mean"] > dvr["lesions"]["mean"]
    assert dvr["nawm"]["mean"] > dvr["grey_matter"]["mean"]
    assert "report.html" in capsys.readouterr().out
