from __future__ import annotations

import pytest

from Testing.benchmarks.brain_masks import compare, reference, visits
from Testing.benchmarks.input_checks import kind_of
from TrainingCore.imaging.volumes import read_volume


@pytest.mark.slow
def test_the_brain_is_the_same_on_raw_t1w_and_flair_of_one_visit(real_data):
    label, t1w, flair, transform = next(visit for visit in visits(real_data) if visit[0] == "sub-20_ses-2")
    numbers, _, _ = compare(read_volume(t1w), read_volume(flair), reference(transform))
    assert numbers["dice"] > 0.96, label
    assert 1200 < numbers["t1w_ml"] < 1500


def test_names_say_which_contrast_a_file_is(tmp_path):
    names = {
        "sub-1_ce-gadolinium_T1w.nii.gz": "T1w after contrast agent",
        "sub-1_space-T1w_trc-PiB_stat-dvr_desc-measured_mimap.nii.gz": "PET (DVR)",
        "sub-1_space-MNI_label-lesion_mask.nii.gz": "mask or label map",
        "sub-1_FLAIR.nii.gz": "FLAIR",
    }
    assert {name: kind_of(tmp_path / name) for name in names} == names
