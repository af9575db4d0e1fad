"""Contrasts by name, as the Slicer panel chooses volumes."""

from __future__ import annotations

import pytest

from TrainingCore.imaging.series_names import named_contrast


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("3: t1_mprage_sag_iso", "T1w"),
        ("4: Sag FSPGR BRAVO", "T1w"),
        ("sub-01_ses-1_T1w", "T1w"),
        ("T1w", "T1w"),
        ("patient1_FLAIR", "FLAIR"),
        ("7: t2_tirm_tra_dark-fluid", "FLAIR"),
        ("FLAIR in T1w space", "FLAIR"),
        ("3: T1 FLAIR", None),
        ("11: t2_tse_tra", None),
        ("9: ep2d_diff_ADC", None),
        ("t1_tse_sag cervical spine", None),
        ("20: FLAIR sub", None),
        ("PET", None),
    ],
)
def test_a_name_says_one_contrast_or_none(name: str, contrast: str | None) -> None:
    assert named_contrast(name) == contrast
