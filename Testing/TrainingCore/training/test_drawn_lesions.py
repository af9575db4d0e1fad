"""Small lesions and caps that augmentation draws."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.imaging.labelling import label_lesions
from TrainingCore.training.drawn_lesions import VOLUMES, draw_caps, draw_lesions

SHAPE = (48, 48, 48)
UNIT = 1.0


@pytest.fixture
def volumes() -> dict[str, np.ndarray]:
    """White matter around a block of thick grey matter and around a ventricle; one lesion; T1w of 1 and 0."""
    brain, grey, ventricle, lesions = (np.zeros(SHAPE, bool) for _ in range(4))
    brain[2:-2, 2:-2, 2:-2] = grey[8:20, 8:20, 8:20] = ventricle[30:36, 16:34, 16:34] = lesions[20:23, 38:41, 20:23] = (
        True
    )
    white = brain & ~grey & ~ventricle
    return {
        "flair": np.where(ventricle, -2.0, 0.0).astype(np.float32) * brain,
        "t1w": white.astype(np.float32),
        "lesions": lesions,
        "brain": brain,
        "white_matter": white,
        "grey_matter": grey,
    }


def drawn(volumes: dict[str, np.ndarray], seed: int, count: float = 40.0) -> dict[str, np.ndarray]:
    own = dict(volumes)
    draw_lesions(own, count, UNIT, np.random.default_rng(seed))
    return own


def test_drawn_lesions_are_small_bright_in_flair_and_in_the_mask(volumes):
    sizes, contrasts, windows = [], [], 0
    for seed in range(12):
        own = drawn(volumes, seed)
        assert own["lesions"][volumes["lesions"]].all()
        labels, each = label_lesions(own["lesions"] & ~volumes["lesions"], 1.0)
        windows += len(each) > 0
        change = own["flair"] - volumes["flair"]
        assert change.min() >= 0
        assert not change[~volumes["brain"]].any()
        sizes.extend(each)
        contrasts.extend(change[labels == number + 1].mean() for number in range(len(each)))
    assert 0 < windows < 12  # some windows get none
    assert np.percentile(sizes, 5) > VOLUMES[0] / 2
    assert np.percentile(sizes, 95) < 2 * VOLUMES[1]
    assert np.min(contrasts) > 0.4
    assert np.max(contrasts) < 2.0


def test_t1w_shows_only_some_of_them_and_none_by_more_than_the_contrast_of_the_tissues(volumes):
    darkest = []
    for seed in range(12):
        own = drawn(volumes, seed)
        labels, each = label_lesions(own["lesions"] & ~volumes["lesions"], 1.0)
        change = own["t1w"] - volumes["t1w"]
        darkest.extend(change[labels == number + 1].mean() for number in range(len(each)))
    shares = -np.array(darkest)
    assert 0.25 < (shares < 0.01).mean() < 0.75
    assert 0.2 < shares.max() < 0.6


def test_drawn_lesions_lie_in_thick_grey_matter_too(volumes):
    inside = sum(drawn(volumes, seed)["lesions"][volumes["grey_matter"]].sum() for seed in range(8))
    assert inside > 0


def test_drawn_lesions_do_not_join_a_lesion(volumes):
    for seed in range(8):
        labels, _ = label_lesions(drawn(volumes, seed)["lesions"], 1.0)
        own = labels[volumes["lesions"]]
        assert (labels == own[0]).sum() == volumes["lesions"].sum()


def test_caps_brighten_white_matter_at_the_ventricle_and_leave_mask_and_lesions_alone(volumes):
    near = np.zeros(SHAPE, bool)
    near[36:39, 18:32, 18:32] = True
    lifted = []
    for seed in range(6):
        own = dict(volumes)
        draw_caps(own, 1.5, np.random.default_rng(seed))
        change = own["flair"] - volumes["flair"]
        assert own["lesions"] is volumes["lesions"]
        assert not change[~volumes["brain"]].any()
        assert change.min() >= 0
        assert abs(change[volumes["lesions"]]).max() < 0.05
        lifted.append((change[near].mean(), change[8:14, 36:44, 36:44].mean()))
        assert np.all(own["t1w"] <= volumes["t1w"])
    beside, far = np.mean(lifted, axis=0)
    assert beside > 0.1 > 20 * far


def test_without_a_ventricle_nothing_is_drawn(volumes):
    volumes["white_matter"] = volumes["brain"] & ~volumes["grey_matter"]
    before = volumes["flair"].copy()
    draw_caps(volumes, 1.5, np.random.default_rng(0))
    assert np.array_equal(volumes["flair"], before)
