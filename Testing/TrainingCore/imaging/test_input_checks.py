"""What an image really is, and what does not go together: on a drawn head, and on real patients where they are."""

from __future__ import annotations

import numpy as np
import pytest
from motion import moved
from scipy import ndimage

from TrainingCore.imaging.brain_mask import find_brain
from TrainingCore.imaging.checks import check_pair, check_whole, refuse_label_map
from TrainingCore.imaging.contrasts import DVR, FLAIR, LABELS, T1CE, T1W, T2W, ghosting, is_label_map, look
from TrainingCore.imaging.volumes import Volume, read_volume
from TrainingCore.runtime.errors import BadInput

AFFINE = np.diag([2.5, 2.5, 2.5, 1.0])
LEVELS = {  # fluid, white, grey
    "t1w": (150, 700, 500),
    "flair": (90, 480, 590),
    "t2w": (1500, 380, 520),
    "dvr": (0.7, 1.25, 1.0),
}


def draw(kind: str, seed: int = 1, head: bool = False) -> tuple[Volume, Volume]:
    """A folded egg of one contrast, and its brain mask; `seed` is the person, `head` adds skin and noisy air."""
    person = np.random.default_rng(seed)
    phase, (wide, long), wave = person.uniform(0, 6, 3), person.uniform(0.9, 1.1, 2), person.uniform(0.6, 1.4)
    size = (80, 88, 72) if head else (64, 76, 60)
    middle = (np.array(size) - 1) / 2
    x, y, z = ((np.indices(size) - middle[:, None, None, None]) * 2.5).astype(float)
    radius = np.sqrt((x / 66 / wide) ** 2 + (y / 80 / long) ** 2 + (z / 62) ** 2)
    folds = np.sin(wave * x / 7 + phase[0]) * np.sin(wave * y / 8 + phase[1]) * np.cos(wave * z / 9 + phase[2]) / 10
    brain, white = radius < 1, radius + folds < 0.78
    ventricles = (np.abs(np.abs(x) - 12) < 10 * wave - 3) & (np.abs(y + 5 * phase[0] - 15) < 24) & (np.abs(z - 4) < 10)
    sulci = brain & (radius + 1.6 * folds > 0.97)
    fluid, bright, grey = LEVELS[kind]
    image = np.select([ventricles | sulci, white, brain], [fluid, bright, grey], 0.0)
    if head:
        image[(radius > 1.12) & (radius < 1.2)] = 1.3 * bright
    rng = np.random.default_rng(seed + 7)
    image = ndimage.gaussian_filter(image, 0.5) + 0.02 * bright * rng.standard_normal(size)
    image = np.abs(image) if head else np.where(brain, image, 0)
    return Volume(image.astype(np.float32), AFFINE, kind), Volume(brain.astype(np.float32), AFFINE)


def warnings_of(t1w: str, flair: str, people: tuple[int, int] = (1, 1)) -> str:
    (first, brain), (second, _) = draw(t1w, people[0]), draw(flair, people[1])
    return " ".join(check_pair(first, second, brain, np.eye(4)))


@pytest.mark.parametrize(("share", "head"), [(0.6, False), (0.85, False), (0.5, True)])
def test_a_brain_cut_at_the_vertex_is_called_cut_and_nothing_else(share, head):
    (t1w, brain), (flair, _) = draw("t1w", head=head), draw("flair", head=head)
    kept = int(share * t1w.data.shape[2])
    cut, cut_brain = (volume.with_data(volume.data[..., :kept]) for volume in (t1w, brain))
    said = check_pair(cut, flair, cut_brain, np.eye(4))
    assert len(said) == 1
    assert "cut off at the upper end" in said[0]


@pytest.mark.parametrize(("kind", "expected"), [("t1w", T1W), ("flair", FLAIR), ("t2w", T2W), ("dvr", DVR)])
def test_a_drawn_contrast_is_recognised(kind, expected):
    image, brain = draw(kind)
    assert look(image, brain).contrast == expected


@pytest.mark.parametrize(
    ("t1w", "flair", "sentence"),
    [
        ("t1w", "flair", None),
        ("flair", "t1w", "look swapped"),
        ("t1w", "t2w", "The FLAIR t2w looks like a T2w"),
        ("t2w", "flair", "The T1w t2w looks like a T2w"),
        ("dvr", "flair", "The T1w dvr looks like a PET"),
        ("t1w", "t1w", "The FLAIR t1w looks like a second T1w"),
        ("flair", "flair", "The T1w flair looks like a second FLAIR"),
    ],
)
def test_wrong_contrasts_are_named(t1w, flair, sentence):
    said = warnings_of(t1w, flair)
    assert said == "" if sentence is None else sentence in said


def test_anatomy_that_does_not_agree_is_noticed():
    t1w, brain = draw("t1w")
    patches = ndimage.gaussian_filter(np.random.default_rng(4).standard_normal(brain.data.shape), 2)
    other = np.digitize(patches / patches.std(), [-1.2, 0.3])  # fluid, white and grey matter in other places
    flair = t1w.with_data((np.take([90.0, 480.0, 590.0], other) * brain.data).astype(np.float32))
    assert "do not show the same anatomy" in " ".join(check_pair(t1w, flair, brain, np.eye(4)))


def test_masks_and_label_maps_are_refused_as_images():
    image, brain = draw("t1w")
    labels = np.digitize(image.data, [100, 300, 600]).astype(np.float32)
    parcels = (np.indices(image.data.shape) // 8).sum(axis=0).astype(np.float32) + 1
    for data in (brain.data, labels, parcels):
        assert is_label_map(data)
        assert look(image.with_data(data), brain).contrast == LABELS
    with pytest.raises(BadInput, match="is a mask or label map"):
        refuse_label_map(brain, "T1w")
    refuse_label_map(image, "T1w")
    assert not is_label_map(np.round(image.data / 4))


@pytest.mark.parametrize(("axis", "end", "place"), [(2, 1, "upper"), (2, 0, "lower"), (1, 1, "front"), (0, 0, "left")])
def test_a_brain_that_is_cut_off_is_noticed_at_the_right_end(axis, end, place):
    _, brain = draw("t1w")
    assert check_whole(brain) == ""
    keep = [slice(None)] * 3
    keep[axis] = slice(0, 36) if end else slice(24, None)
    cut = Volume(brain.data[tuple(keep)], AFFINE)
    assert f"at the {place} end" in check_whole(cut)
    flipped = Volume(np.flip(cut.data, axis), AFFINE @ np.diag([-1.0 if a == axis else 1.0 for a in range(3)] + [1.0]))
    assert f"at the {place} end" in check_whole(flipped)


def test_copies_of_the_head_in_the_air_are_noticed_and_noise_is_not():
    image, brain = draw("t1w", head=True)
    assert ghosting(image, brain) == 0
    ruined = moved(image, 5, 5, seed=1)
    assert ghosting(ruined, brain) > 0.08
    assert "as when the patient moved" in " ".join(check_pair(ruined, draw("flair", head=True)[0], brain, np.eye(4)))
    stripped, mask = draw("t1w")
    assert ghosting(stripped, mask) is None


def half(volume: Volume) -> Volume:
    """Every second voxel: enough for these checks and eight times faster."""
    return Volume(volume.data[::2, ::2, ::2], volume.affine @ np.diag([2.0, 2.0, 2.0, 1.0]), volume.name)


def test_real_contrasts_are_recognised_and_real_mistakes_caught(real_data):
    images = {}
    for person in ("sub-07", "sub-19"):
        for kind, prefix in (("T1w", ""), ("FLAIR", ""), ("T2w", ""), ("T1ce", "_ce-gadolinium")):
            name = f"{person}{prefix}_space-MNI152_desc-brain_{kind.replace('T1ce', 'T1w')}.nii.gz"
            images[person, kind] = half(read_volume(real_data / f"ms_mni/{person}/anat" / name, kind))
        brain = find_brain(images[person, "T1w"]).mask
        for kind, expected in (("T1w", T1W), ("FLAIR", FLAIR), ("T2w", T2W), ("T1ce", T1CE)):
            assert look(images[person, kind], brain).contrast == expected, (person, kind)
    t1w, flair, other = images["sub-07", "T1w"], images["sub-07", "FLAIR"], images["sub-19", "FLAIR"]
    brain = find_brain(t1w).mask
    assert check_pair(t1w, flair, brain, np.eye(4)) == []
    assert "swapped" in check_pair(flair, t1w, brain, np.eye(4))[0]
    assert "same anatomy" in check_pair(t1w, other, brain, np.eye(4))[0]
    assert "bright vessels" in check_pair(images["sub-07", "T1ce"], flair, brain, np.eye(4))[0]
