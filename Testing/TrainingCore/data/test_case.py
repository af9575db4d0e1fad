"""What volumes are called."""

from __future__ import annotations

import pytest

from TrainingCore.data.case import VOLUME_NAMES, title_of, word_of


@pytest.mark.parametrize(
    ("name", "title", "word"),
    [
        ("t1w", "T1w", "T1w"),
        ("flair", "FLAIR", "FLAIR"),
        ("t1ce_low", "T1w, low dose", "T1w after a low dose of contrast agent"),
        ("adc", "ADC", "ADC"),
        ("dvr", "DVR", "measured DVR"),
        ("lesions", "lesions", "lesion mask"),
        ("white_matter", "white_matter", "white matter mask"),
        ("label_map", "label_map", "label map"),
    ],
)
def test_volumes_have_a_title_for_pictures_and_words_for_sentences(name: str, title: str, word: str) -> None:
    assert (title_of(name), word_of(name)) == (title, word)


def test_no_volume_is_called_by_its_variable_in_a_sentence() -> None:
    assert not [name for name in VOLUME_NAMES if "_" in word_of(name)]
