"""A raw cohort of four people, small enough that preparing one takes about a second."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ball_cohort import write_ball_cohort

from TrainingCore.data.cohort import Cohort

KEPT = {"t1w", "flair", "dvr", "brain", "lesions", "white_matter", "grey_matter"}


@pytest.fixture(scope="session")
def raw_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BIDS dataset of balls with T1w and FLAIR alone, masks and DVR as derivatives."""
    root = write_ball_cohort(tmp_path_factory.mktemp("raw") / "cohort", people=4, visits=1)
    for visit in Cohort.scan(root, raw=True).visits:
        for name in set(visit.files) - KEPT:
            visit.files[name].unlink()
    return root


@pytest.fixture
def cohort(raw_cohort: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(raw_cohort, tmp_path / "cohort"))
