"""Before or after contrast agent, by words of many languages and by all series of a study together."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pydicom")

from dicom_files import FLAIR, T1W, write_series

from TrainingCore.imaging.dicom_agent import says
from TrainingCore.imaging.volumes import Volume, read_volume
from TrainingCore.runtime.errors import BadInput

SPOKEN = {
    "after": [
        "T1 MPR nach KM", "T1 3D dopo mdc", "T1 MPRAGE postGd", "Ax T1 SE +C", "T1 3D apr\xe8s contraste", "T1 C+",
        "T1C", "T1 con contraste", "t1_mprage_sag_KM", "T1postKM", "GdT1", "T1_CE", "T1 despues de gadolinio",
        "T1 p\xf3s contraste", "T1 met contrast", "T1 na contrast", "T1 po kontra\u015bcie", "T1 efter kontrast",
        "T1 avec injection", "T1+K", "T1 con m.d.c.", "T1 CON CTE", "T1 c/ contraste",
        "T1 w/ contrast", "T1 \u9020\u5f71", "T1 k.m.",
        "t1_mpr_iso_nachKM", "T1 tras contraste", "C/C T1",
    ],
    "before": [
        "T1 ax vor KM", "T1 SE pre contrast", "T1 nativ", "T1 ohne KM", "T1 senza mdc", "T1 sans injection",
        "T1 S/C", "T1 sin contraste", "T1 sem contraste", "T1 zonder contrast", "T1 non contrast", "T1 w/o contrast",
        "preGd T1", "T1 uten kontrast", "T1 s/ contraste", "T1 non enhanced",
        "T1 f\u00f8r kontrast", "T1 bez kontrastu", "T1 -C",
    ],
    "both": [
        "MS BRAIN W/WO CONTRAST", "T1 pre and post contrast", "T1 +/- C", "Sch\xe4del mit und ohne KM",
        "encefalo senza e con mdc",
    ],
    "": [
        "t1_mprage_sag_p2_iso", "MS BRAIN/ORBITS", "T1 post fossa", "T1 posterior fossa", "sT1W_3D_TFE",
        "t1_mprage_prescan",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("meaning", "text"), [(meaning, text) for meaning, texts in SPOKEN.items() for text in texts])
def test_words_of_many_languages(meaning, text):
    assert says(text) == meaning


@pytest.fixture
def volume() -> Volume:
    return Volume(np.random.default_rng(0).integers(1, 900, (8, 8, 6)).astype(np.float32), np.diag([1.0, 1, 3, 1]))


NATIVE_2D = T1W | {"SeriesDescription": "T1 AX", "MRAcquisitionType": "2D", "InversionTime": None, "EchoTime": 9.0}


def late_3d(description: str, **tags: object) -> dict[str, object]:
    return T1W | {"SeriesNumber": 9, "SeriesDescription": description} | tags


@pytest.mark.parametrize("protocol", ["MS BRAIN W/WO CONTRAST", "MS BRAIN/ORBITS", "BRAIN WITH CONTRAST", "SPINE"])
def test_the_name_of_a_whole_examination_says_nothing_of_a_series(protocol, volume, tmp_path):
    common = {"ProtocolName": protocol}
    write_series(tmp_path, volume, NATIVE_2D | common)
    write_series(tmp_path, volume.with_data(volume.data + 1), FLAIR | common)
    write_series(tmp_path, volume.with_data(volume.data + 2), late_3d("T1 3D +C", **common))
    assert read_volume(tmp_path, "T1w").name.startswith("series 3")
    assert read_volume(tmp_path, "FLAIR").name.startswith("series 5")


def test_an_agent_in_the_tags_of_all_series_says_nothing(volume, tmp_path):
    agent = {"ContrastBolusAgent": "Gadovist"}
    write_series(tmp_path, volume, NATIVE_2D | agent | {"SeriesDescription": "T1 vor KM"})
    write_series(tmp_path, volume, late_3d("T1 nach KM", **agent))
    found = read_volume(tmp_path, "T1w")
    assert found.name.startswith("series 3")
    assert not any("after contrast agent, by" in note for note in found.notes)


def test_an_agent_called_none_is_none(volume, tmp_path):
    write_series(tmp_path, volume, T1W | {"ContrastBolusAgent": "NONE"})
    assert read_volume(tmp_path, "T1w").notes == ()


def test_what_follows_a_series_after_the_agent_is_after_it_too(volume, tmp_path):
    write_series(tmp_path, volume, NATIVE_2D)
    write_series(tmp_path, volume, NATIVE_2D | {"SeriesNumber": 7, "SeriesDescription": "T1 AX Gd"})
    write_series(tmp_path, volume, late_3d("T1 3D"))
    assert read_volume(tmp_path, "T1w").name.startswith("series 3")


def test_words_nobody_knows_are_asked_about(volume, tmp_path):
    write_series(tmp_path, volume, NATIVE_2D)
    write_series(tmp_path, volume, late_3d("T1 3D xyzzy"))
    with pytest.raises(BadInput, match=r"do not say whether 9 was acquired after contrast agent: 3 .*FOLDER#3"):
        read_volume(tmp_path, "T1w")
