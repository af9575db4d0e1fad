"""Names, labels and empty cells as hospitals and spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from TrainingCore import preprocess
from TrainingCore.data.cohort import Cohort
from TrainingCore.runtime.errors import BadInput

HEAD = "participant_id;session;t1w;flair;lesions\n"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def pair(person: str = "01") -> list[str]:
    return [f"sub-{person}/anat/sub-{person}_{kind}.nii.gz" for kind in ("T1w", "FLAIR")]


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    touch(folder, "t1.nii.gz", "flair.nii.gz", "les.nii.gz", "sub/t1.nii.gz")
    (folder / "table.csv").write_bytes(text.encode(encoding))
    return folder / "table.csv"


@pytest.mark.parametrize(
    ("first", "second"),
    [("1-12;1", "11-2;1"), ("1-12;1", "11-2;2"), ("01;v1.2", "01;v12"), ("P01;1", "p01;1"), ("\u00e41;1", "\u00f61;1")],
)
def test_two_ids_never_become_one(first: str, second: str, tmp_path: Path) -> None:
    rows = "".join(f"{ids};t1.nii.gz;flair.nii.gz;les.nii.gz\n" for ids in (first, second, "77;1"))
    cohort = Cohort.scan(table(tmp_path, HEAD + rows), raw=True)
    assert [visit.person for visit in cohort.visits] == ["77"]
    assert len(cohort.bad_rows) == 2
    column = 0 if first.split(";")[0] != second.split(";")[0] else 1
    assert all(repr(ids.split(";")[column]) in cohort.bad_rows[0] for ids in (first, second))


@pytest.mark.parametrize("nothing", ["n/a", "NA", "", "#N/A", "None", "-", "N/A"])
def test_cells_that_say_nothing_are_no_files(nothing: str, tmp_path: Path) -> None:
    row = f"001;{nothing};t1.nii.gz;flair.nii.gz;{nothing}\n"
    (visit,) = Cohort.scan(table(tmp_path, HEAD + row), raw=True).visits
    assert sorted(visit.files) == ["flair", "t1w"]
    assert visit.visit == ""


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("sep=;\r\n" + HEAD.replace("\n", "\r\n") + "001;1;t1.nii.gz;flair.nii.gz;les.nii.gz\r\n", "utf-8"),
        ("\n" + HEAD + "001;1;sub\\t1.nii.gz;flair.nii.gz;les.nii.gz\n", "utf-8-sig"),
        ((HEAD + "001;1;t1.nii.gz;flair.nii.gz;les.nii.gz\n").replace(";", "\t"), "utf-16"),
    ],
)
def test_tables_of_spreadsheets_are_read(text: str, encoding: str, tmp_path: Path) -> None:
    (visit,) = Cohort.scan(table(tmp_path, text, encoding), raw=True).visits
    assert sorted(visit.files) == ["flair", "lesions", "t1w"]


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("sub-01/anat/sub-01_T1w_label-lesion_roi.nii.gz", "T1w"),
        ("sub-01/anat/sub-01_label-lesion_roi.nii.gz", None),
        ("derivatives/lst-ai/sub-01/anat/sub-01_space-flair_seg-lst.nii.gz", "FLAIR"),
        ("derivatives/a/sub-01/anat/sub-01_space-T1w_label-WMH_dseg.nii.gz", "T1w"),
        ("derivatives/a/sub-01/anat/sub-01_desc-lesion_mask.nii.gz", None),
        ("derivatives/a/sub-01/sub-01_FLAIR_lesions.nii.gz", "FLAIR"),
        ("derivatives/a/sub-01/sub-01_wmh.nii", None),
    ],
)
def test_lesion_masks_under_usual_names_are_used(name: str, space: str | None, tmp_path: Path) -> None:
    (visit,) = Cohort.scan(touch(tmp_path, *pair(), name), raw=True).visits
    assert visit.files["lesions"] == tmp_path / name
    assert visit.spaces.get("lesions") == space


@pytest.mark.parametrize(
    "name", ["label-vesselles_mask", "label-thalamus_desc-lesion_mask", "desc-lesionfilled_T1w", "label-GTV_roi"]
)
def test_other_masks_are_no_lesions_and_are_mentioned(name: str, tmp_path: Path) -> None:
    cohort = Cohort.scan(touch(tmp_path, *pair(), f"derivatives/a/sub-01/anat/sub-01_{name}.nii.gz"), raw=True)
    assert "lesions" not in cohort.visits[0].files
    assert any(name in sentence for sentence in cohort.unused)


def test_files_that_are_not_used_have_a_reason(tmp_path: Path) -> None:
    touch(
        tmp_path, *pair(), *pair("02"), "sub-03/anat/sub-03_t1w.nii.gz", "sub-01/anat/sub-02_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-2_T1w.nii.gz", "sub-02/anat/sub-02_T1w.mgz", "sub-02/anat/sub-02_T2star.nii.gz",
        "sub-a b/anat/sub-a b_T1w.nii.gz", "Sub-04/anat/Sub-04_T1w.nii.gz", "sub_05/anat/sub_05_T1w.nii.gz",
    )  # fmt: skip
    link = tmp_path / "sub-02/anat/sub-02_T1w.nii.gz"
    link.unlink()
    link.symlink_to("../../.git/annex/objects/x/y.nii.gz")
    (tmp_path / "sub-02/anat/sub-02_FLAIR.nii.gz").write_text("version https://git-lfs.github.com/spec/v1\n")
    cohort = Cohort.scan(tmp_path, raw=True)
    assert cohort.people == ["01"]
    sentences = "\n".join(cohort.unused)
    for reason in (
        "BIDS writes _T1w, not _t1w", "its name has sub-02", "folder of ses-1, but its name has ses-2", ".mgz",
        "_T2star is not a kind", "link to a file that is not there", "pointer without the image",
        "the label 'a b' has other characters than letters and digits",
        "Sub-04 and 1 like it: the folder of a person begins with sub-",
    ):  # fmt: skip
        assert reason in sentences
    with pytest.raises(BadInput, match="BIDS writes _T1w"):
        preprocess.find_visits(touch(tmp_path / "lower", "sub-03/anat/sub-03_t1w.nii.gz"), "t1w", (), (), ())


def test_labels_that_a_spreadsheet_changed_are_matched_where_that_is_clear(tmp_path: Path) -> None:
    touch(tmp_path, *pair("001"), *pair("002"), *pair("03"), *pair("3"), *pair("P07"))
    (tmp_path / "participants.tsv").write_text("participant_id\tgroup \n1\tMS\n2\tHC\n003\tMS\np-7\tHC\n")
    cohort = Cohort.scan(tmp_path, raw=True)
    assert {visit.person: visit.info.get("group") for visit in cohort} == {
        "001": "MS", "002": "HC", "03": None, "3": None, "P07": "HC",
    }  # fmt: skip
    assert any("no row for sub-03, sub-3" in note for note in cohort.notes)
