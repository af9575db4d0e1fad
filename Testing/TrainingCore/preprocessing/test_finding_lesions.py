"""Lesions of visits without a mask, where `preprocess --find-lesions` asks for them."""

from __future__ import annotations

import numpy as np
import pytest
from small_head import AFFINE, make_head

from TrainingCore.imaging.volumes import Volume
from TrainingCore.patient.case_preparation import prepare_volumes
from TrainingCore.preprocess import finder_settings, settings_of


@pytest.fixture(scope="module")
def read() -> dict[str, Volume]:
    """The small head as read from files, with its lesions."""
    head = make_head()
    names = ("t1w", "flair", "brain", "lesions")
    return {name: Volume(head[name].astype(np.float32), AFFINE, name) for name in names}


def test_found_lesions_are_used_and_said(read: dict[str, Volume]) -> None:
    settings = settings_of("64", None, "t1w") | finder_settings()
    without = {name: volume for name, volume in read.items() if name != "lesions"}
    transforms = {"flair": np.eye(4)}
    prepared = prepare_volumes(without, settings, {}, transforms)
    assert any("segmented automatically" in sentence for sentence in prepared.warnings)
    assert prepared.lesions is not None
    found = prepared.volumes["lesions"]
    given = prepare_volumes(read, settings, {}, transforms)
    assert not any("to be reviewed" in sentence for sentence in given.warnings)  # a given mask wins
    true = given.volumes["lesions"]
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.3


def test_the_weights_are_part_of_the_settings() -> None:
    settings = finder_settings()
    assert settings["lesion_finder"] == "lesion_finder"
    assert len(settings["lesion_finder_weights"]) == 64
