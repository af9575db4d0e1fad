"""A cohort as a table: one sentence per bad row, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from TrainingCore.data.cohort import Cohort
from TrainingCore.runtime.errors import BadInput


def table(folder: Path, text: str, name: str = "cohort.csv", encoding: str = "utf-8") -> Path:
    for image in ("a.nii.gz", "b.nii.gz"):
        (folder / image).touch()
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


@pytest.mark.parametrize(
    "text",
    [
        "participant_id,session,t1w,flair,age\n01,1,a.nii.gz,b.nii.gz,44\n",
        "Participant;Session_ID;T1w;FLAIR;age\nsub-01;ses-1;a.nii.gz;b.nii.gz;44\n",
        'participant_id\tvisit\tt1\tflair\tage\r\n"01"\t1\ta.nii.gz\tb.nii.gz\t44\r\n\r\n',
    ],
)
def test_commas_semicolons_tabs_and_other_names_of_columns(tmp_path: Path, text: str) -> None:
    (visit,) = Cohort.read(table(tmp_path, text, encoding="utf-8-sig")).visits
    assert visit.label == "sub-01_ses-1"
    assert visit.files == {"t1w": tmp_path / "a.nii.gz", "flair": tmp_path / "b.nii.gz"}
    assert visit.info == {"age": "44"}


def test_bad_rows_are_said_with_their_lines_and_the_others_stay(tmp_path: Path) -> None:
    text = (
        "participant_id,session,t1w,flair\n"
        "01,1,a.nii.gz,b.nii.gz\n"
        "02,1,nowhere.nii.gz,b.nii.gz\n"
        ",1,a.nii.gz,b.nii.gz\n"
        "03,1,,\n"
        "04,1,a.nii.gz,b.nii.gz\n"
        "04,1,b.nii.gz,a.nii.gz\n"
        "05,1,a.nii.gz,b.nii.gz,surplus\n"
    )
    cohort = Cohort.scan(table(tmp_path, text), raw=True)
    assert [visit.label for visit in cohort.visits] == ["sub-01_ses-1"]
    wanted = {"line 3": "nowhere", "line 4": "no participant_id", "lines 6 and 7": "2 times"}
    wanted["line 5"] = "no t1w and no flair"
    for line, words in (wanted | {"line 8": "5 cells"}).items():
        (sentence,) = [bad for bad in cohort.bad_rows if f"{line}:" in bad]
        assert words in sentence
    with pytest.raises(BadInput, match="line 3"):
        Cohort.read(tmp_path / "cohort.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("participant_id,session,dvr\n01,1,b.nii.gz\n", "no column t1w"),
        ("participants,t1w\n01,a.nii.gz\n", "no column participant_id.*meant"),
        ("participant_id,t1w,T1\n01,a.nii.gz,b.nii.gz\n", "t1w twice"),
        ("participant_id,t1w\n", "no rows"),
        ("", "empty"),
        ('participant_id,t1w\n"01,a.nii.gz\n', "not a table"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_as_a_whole(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Cohort.scan(table(tmp_path, text), raw=True)


@pytest.mark.parametrize("columns", ["t2w,flair", "t1w,t2w,flair"])
def test_every_row_needs_some_mri_whether_or_not_others_have_a_t1w(tmp_path: Path, columns: str) -> None:
    own = "," * columns.startswith("t1w")
    rows = (f"01,{own}a.nii.gz,b.nii.gz,b.nii.gz", f"02,{own},,b.nii.gz", f"03,{own}a.nii.gz,,b.nii.gz")
    text = "\n".join([f"participant_id,{columns},brain", *rows, ""])
    cohort = Cohort.scan(table(tmp_path, text), raw=False, needs=["t2w", "flair"])
    assert [visit.label for visit in cohort.visits] == ["sub-01"]
    assert [visit.label for visit in cohort.incomplete] == ["sub-03"]
    assert any("line 3: sub-02 has no" in bad and "no flair and no t2w" in bad for bad in cohort.bad_rows)


def test_given_transforms_and_dicom_series_are_kept(tmp_path: Path) -> None:
    (tmp_path / "dicom").mkdir()
    (tmp_path / "move.tfm").touch()
    text = "participant_id,t1w,flair,flair_to_t1w\n01,dicom#3,b.nii.gz,move.tfm\n02,a.nii.gz,b.nii.gz,identity\n"
    first, second = Cohort.read(table(tmp_path, text)).visits
    assert first.files["t1w"].name == "dicom#3"
    assert first.transforms == {"flair": str(tmp_path / "move.tfm")}
    assert second.transforms == {"flair": "identity"}
