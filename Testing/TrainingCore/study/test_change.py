"""Two visits: half-way space, lesions matched, changes judged against repeatability."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from small_head import AFFINE, make_head
from untrained import untrained_bundle

from TrainingCore.api import change, synthesize
from TrainingCore.data.lesion_columns import change_columns
from TrainingCore.data.result import Result
from TrainingCore.imaging.volumes import Volume, read_volume, write_volume
from TrainingCore.reporting.change_report import slices, write_change_report
from TrainingCore.runtime.errors import BadInput
from TrainingCore.study.changes import classify, lesion_changes, voxel_indices
from TrainingCore.study.halfway import half_way
from TrainingCore.study.lesion_matching import match_lesions
from TrainingCore.study.lesion_sources import lesion_warnings
from TrainingCore.study.repeatability import Repeatability

MOVED = np.eye(4)
MOVED[:3, :3] = Rotation.from_euler("xyz", [6, -4, 9], degrees=True).as_matrix()
MOVED[:3, 3] = [5.0, -8.0, 3.0]


def test_the_half_way_space_is_equally_far_from_both_visits() -> None:
    brain = Volume(np.ones((20, 24, 18), np.float32), np.diag([2.0, 2, 2, 1]), "brain")
    moved = Volume(brain.data, MOVED @ brain.affine, "brain")
    space = half_way(MOVED, brain, moved, 2.0)
    assert space.to_after @ np.linalg.inv(space.to_before) == pytest.approx(MOVED, abs=1e-9)
    angles = [np.degrees(Rotation.from_matrix(m[:3, :3]).magnitude()) for m in (space.to_before, space.to_after)]
    assert angles[0] == pytest.approx(angles[1])
    for seen in (space.before(brain), space.after(moved)):
        assert seen.sum() * 8 == pytest.approx(brain.data.sum() * 8, rel=0.03)


def test_lesions_are_matched_split_merged_new_and_gone() -> None:
    before, after = np.zeros((2, 60, 8, 8), np.int32)
    for labels, spans in ((before, [(2, 8), (12, 24), (28, 32), (34, 38), (42, 46)]),
                          (after, [(3, 9), (12, 16), (19, 24), (28, 38), (50, 56)])):  # fmt: skip
        for label, (low, high) in enumerate(spans, start=1):
            labels[low:high, 2:5, 2:5] = label
    found = [(match.before, match.after, match.kind) for match in match_lesions(before, after)]
    assert found == [
        ((1,), (1,), "matched"),
        ((2,), (2, 3), "split"),
        ((3, 4), (4,), "merged"),
        ((5,), (), "gone"),
        ((), (5,), "new"),
    ]


def test_touching_by_a_voxel_is_not_the_same_lesion() -> None:
    before, after = np.zeros((2, 20, 4, 4), np.int32)
    before[0:10], after[9:20] = 1, 1
    after[9, 1:], after[9, :, 1:] = 0, 0
    assert [match.kind for match in match_lesions(before, after)] == ["gone", "new"]


def test_a_change_within_repeatability_is_stable_and_depends_on_the_volume() -> None:
    known = Repeatability((0, 500), (0.05, 0.01), "test")
    labels = np.zeros((30, 10, 10), np.int32)
    labels[2:5, 2:5, 2:5], labels[15:25, 1:9, 1:9] = 1, 2  # 27 and 640 mm3
    before = np.full(labels.shape, 1.0)
    after = before - 0.05
    rows = lesion_changes((labels, labels), (before, after), np.eye(4), known)
    assert [row["change"] for row in rows] == ["stable", "demyelinating"]
    assert rows[1]["difference"] == pytest.approx(-0.05)
    assert rows[1]["high"] == pytest.approx(-0.05 + 1.96 * 0.01)
    assert {row["change"] for row in lesion_changes((labels, labels), (before, after), np.eye(4))} == {"not judged"}
    assert classify("matched", 0.01, 0.2) == "remyelinating"
    assert classify("new", -0.2, -0.1) == "new"


def test_voxel_indices_count_the_crossing_of_the_limit() -> None:
    lesions = np.ones((10, 10, 1), bool)
    before, after = np.full((2, 10, 10, 1), 1.2)
    before[:4], after[3:5] = 0.8, 0.8  # 40 % demyelinated before, 20 % after, 10 % at both
    found = voxel_indices(lesions, (before, after), 1.0)
    assert found["demyelination_index"] == pytest.approx(0.1)
    assert found["remyelination_index"] == pytest.approx(0.3)
    assert voxel_indices(lesions, (before, after), None)["demyelination_index"] is None


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Path]]:
    """Results of one head scanned twice, in two positions; the second scan is marked as simulated."""
    folder, head = tmp_path_factory.mktemp("visits"), make_head()
    model, files = untrained_bundle(folder / "model"), {}
    for visit, affine in (("before", AFFINE), ("after", MOVED @ AFFINE)):
        given = {}
        for name in ("t1w", "flair", "lesions"):
            given[name] = folder / f"{visit}_{name}.nii.gz"
            write_volume(given[name], head[name], affine)
        files[visit] = given["t1w"]
        if visit == "after":
            given["t1w"].with_name("after_t1w.json").write_text('{"Simulated": true}')
        synthesize(
            folder / visit,
            t1=given["t1w"],
            flair=given["flair"],
            lesions=given["lesions"],
            model=str(model),
            device="cpu",
            viewer=visit == "after",
            progress="none",
        )
        levels = np.select([head["lesions"], head["white"], head["brain"]], [0.9, 1.2, 1.0], 0).astype(float)
        dvr = np.where(head["brain"], gaussian_filter(levels, 1.0), 0)  # the weights are random: a map of our own
        write_volume(folder / visit / "dvr.nii.gz", dvr.astype(np.float32), affine)
    return folder / "before", folder / "after", files


def test_the_same_head_in_another_position_has_not_changed(
    visits: tuple[Path, Path, dict[str, Path]], tmp_path: Path
) -> None:
    before, after, t1w = visits
    known = tmp_path / "repeatability.json"
    known.write_text(json.dumps({"classes_mm3": [0], "sd": [0.05], "source": "a test"}))
    made = change(
        before, after, tmp_path / "change", before_t1=t1w["before"], after_t1=t1w["after"], repeatability=known,
        spacing=3.0, progress="none",
    )  # fmt: skip
    assert made.summary()["warnings"] == []
    assert {row["change"] for row in made.lesions()} == {"stable"}
    assert {row["kind"] for row in made.lesions()} == {"matched"}
    assert abs(made.summary()["mean_difference"]) < 0.03
    assert made.summary()["registration"]["moved_mm"] > 5
    page = (made.path / "report.html").read_text(encoding="utf-8")
    assert "Research use only" in page
    assert "3 stable" in page


def test_the_table_of_the_report_fits_the_page(
    tmp_path: Path, first_table_width: Callable[[Path, int], tuple[int, int]]
) -> None:
    """A lesion that many outlines merged into has a long list of labels, which must be wrapped."""
    row = {column.name: -0.1234 for column in change_columns()}
    row |= {"lesion": 101, "change": "remyelinating", "kind": "rearranged", "volume_before_mm3": 12345.0}
    row |= {"before": "3+5+7+9+11+12+15+21+33+102+104", "after": ""}
    summary = {"lesions": 1, "by_change": {}, "repeatability": None, "mean_difference": None, "models_differ": False}
    summary |= {"simulated_training_data": False, "simulated_patient": False}
    summary |= {"voxels": {"demyelination_index": None}}
    brain = np.zeros((16, 16, 16))
    brain[4:12, 4:12, 4:12] = 1
    write_change_report(tmp_path / "report.html", [row], summary, (brain, brain), brain > 0)
    assert "3 + 5 + 7" in (tmp_path / "report.html").read_text(encoding="utf-8")
    width, needed = first_table_width(tmp_path / "report.html", 1250)
    assert needed <= width


def test_a_planted_loss_is_found_where_it_was_planted(
    visits: tuple[Path, Path, dict[str, Path]], tmp_path: Path
) -> None:
    before, after, t1w = visits
    changed = tmp_path / "after"
    shutil.copytree(after, changed)
    dvr = read_volume(changed / "dvr.nii.gz", "map")
    labelled = np.asarray(nibabel.load(changed / "lesion_labels.nii.gz").dataobj)
    write_volume(changed / "dvr.nii.gz", np.where(labelled == 1, dvr.data - 0.4, dvr.data), dvr.affine)
    known = tmp_path / "repeatability.json"
    known.write_text(json.dumps({"classes_mm3": [0], "sd": [0.05], "source": "a test"}))
    made = change(
        before, changed, tmp_path / "change", before_t1=t1w["before"], after_t1=t1w["after"], repeatability=known,
        spacing=3.0, progress="none",
    )  # fmt: skip
    assert [row["before"] for row in made.lesions() if row["change"] == "demyelinating"] == ["1"]


def test_a_shift_of_the_whole_map_is_said_and_can_be_taken_out(
    visits: tuple[Path, Path, dict[str, Path]], tmp_path: Path
) -> None:
    """Another calibration: everything is 0.15 higher, except the first lesion, which lost as much."""
    before, after, t1w = visits
    shifted = tmp_path / "after"
    shutil.copytree(after, shifted)
    dvr = read_volume(shifted / "dvr.nii.gz", "map")
    labelled = np.asarray(nibabel.load(shifted / "lesion_labels.nii.gz").dataobj)
    moved = np.where(dvr.data > 0, dvr.data + np.where(labelled == 1, -0.15, 0.15), 0)
    write_volume(shifted / "dvr.nii.gz", moved, dvr.affine)
    known = tmp_path / "repeatability.json"
    content = {"classes_mm3": [0], "sd": [0.04], "source": "a test"}
    known.write_text(json.dumps(content))
    words = {"before_t1": t1w["before"], "after_t1": t1w["after"], "repeatability": known, "spacing": 3.0}
    with pytest.raises(BadInput, match="nawm_sd"):
        change(before, shifted, tmp_path / "out", relative_to_nawm=True, progress="none", **words)
    known.write_text(json.dumps(content | {"nawm_sd": 0.01}))
    plain = change(before, shifted, tmp_path / "plain", progress="none", **words)
    relative = change(before, shifted, tmp_path / "relative", relative_to_nawm=True, progress="none", **words)
    assert plain.summary()["nawm"]["difference"] == pytest.approx(0.15, abs=0.01)
    assert plain.summary()["by_change"].get("remyelinating") == 2
    for made in (plain, relative):
        first, *others = sorted(made.rows(), key=lambda row: row["difference"])
        assert others[0]["difference"] == pytest.approx(0.15, abs=0.03), "the uncorrected number stays"
        assert others[0]["difference_to_nawm"] == pytest.approx(0, abs=0.03)
        assert made.summary()["relative_to_nawm"]["by_change"] == {"demyelinating": 1, "stable": 2}
        page = (made.path / "report.html").read_text(encoding="utf-8")
        assert "Warning: normal-appearing white matter (NAWM) changed by +0.1" in page
    assert [row["change"] for row in others] == ["stable", "stable"]
    assert first["change"] == "demyelinating"
    assert first["high"] == pytest.approx(first["difference_to_nawm"] + 1.96 * np.hypot(0.04, 0.01), abs=1e-3)


def test_every_page_says_that_the_patient_is_simulated(
    visits: tuple[Path, Path, dict[str, Path]], tmp_path: Path
) -> None:
    before, after, _ = visits
    made = change(before, after, tmp_path / "change", spacing=3.0, progress="none")
    assert made.summary()["simulated_patient"] is True
    sentence = "Simulated patient: these images are from a phantom, not from a scanner."
    for page in (after / "report.html", after / "viewer.html", made.path / "report.html"):
        assert sentence in page.read_text(encoding="utf-8"), page
    assert sentence not in (before / "report.html").read_text(encoding="utf-8")
    measured = changed_copy(after, tmp_path / "after", simulated_patient=False)
    other = change(before, measured, tmp_path / "other", spacing=3.0, progress="none")
    assert other.summary()["simulated_patient"] is False
    assert sentence not in (other.path / "report.html").read_text(encoding="utf-8")


def test_t1w_of_two_people_are_compared_with_a_warning(
    visits: tuple[Path, Path, dict[str, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after, t1w = visits
    own = read_volume(t1w["before"], "T1w")
    write_volume(tmp_path / "other.nii.gz", np.roll(own.data[::-1, ::-1], 9, 1), own.affine)
    made = change(
        before, after, tmp_path / "change", before_t1=tmp_path / "other.nii.gz", after_t1=t1w["after"], spacing=3.0,
        progress="none",
    )  # fmt: skip
    [warning] = made.summary()["warnings"]
    assert warning.startswith("The second visit's T1w and the first visit's T1w fit each other badly")
    assert f"Warning: {warning}" in capsys.readouterr().err
    assert "fit each other badly" in (made.path / "report.html").read_text(encoding="utf-8")


def changed_copy(result: Path, folder: Path, **provenance: Any) -> Path:
    """Copy of a Result with other entries in its provenance."""
    shutil.copytree(result, folder)
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    (folder / "provenance.json").write_text(json.dumps(record | provenance), encoding="utf-8")
    return folder


def without_lesions(result: Path, folder: Path, source: str) -> Path:
    """Copy of a Result as if it was made with an empty mask (given) or with --lesions none (none)."""
    copy = changed_copy(result, folder, lesion_source=source)
    header = (copy / "lesions.csv").read_text(encoding="utf-8").splitlines()[0]
    (copy / "lesions.csv").write_text(header + "\n", encoding="utf-8")
    if source == "none":
        (copy / "lesion_labels.nii.gz").unlink()
    else:
        labels = read_volume(copy / "lesion_labels.nii.gz", "lesions")
        write_volume(copy / "lesion_labels.nii.gz", np.zeros(labels.data.shape, np.int16), labels.affine)
    return copy


def test_lost_outlines_are_not_lesions_that_went(visits: tuple[Path, Path, dict[str, Path]], tmp_path: Path) -> None:
    before, after, _ = visits
    for name, result in (("first", before), ("second", after)):
        (changed_copy(result, tmp_path / name / "lost") / "lesion_labels.nii.gz").unlink()
    for pair in ((before, tmp_path / "second" / "lost"), (tmp_path / "first" / "lost", after)):
        with pytest.raises(BadInput, match=r"lost/lesion_labels.nii.gz is missing, although .* lists 3 lesions"):
            change(*pair, tmp_path / "out", spacing=3.0, progress="none")
    assert not (tmp_path / "out").exists()


def test_a_visit_without_a_lesion_mask_is_compared_without_lesions(
    visits: tuple[Path, Path, dict[str, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after, _ = visits
    unmarked = without_lesions(after, tmp_path / "unmarked", "none")
    made = change(before, unmarked, tmp_path / "change", spacing=3.0, progress="none")
    warning = "unmarked has no lesion mask, so lesions are not compared, only the maps and NAWM."
    assert made.summary()["warnings"] == [warning]
    assert made.rows() == []
    assert made.summary()["lesions"] is None
    assert made.summary()["relative_to_nawm"]["lesions"] is None
    assert abs(made.summary()["nawm"]["difference"]) < 0.03
    page = (made.path / "report.html").read_text(encoding="utf-8")
    assert f"Warning: {warning}" in page
    assert "Lesions were not compared. Normal-appearing white matter" in page
    assert f"Warning: {warning}" in capsys.readouterr().err
    both = without_lesions(before, tmp_path / "first", "none"), unmarked
    [sentence] = lesion_warnings(("A", "B"), (Result.open(both[0]), Result.open(both[1])))
    assert sentence.startswith("A and B have no lesion mask")


def test_lesions_of_two_sources_are_compared_with_a_warning(
    visits: tuple[Path, Path, dict[str, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after, _ = visits
    finder = {"lesions_found_by": {"name": "the finder", "weights_sha256": "ab" * 32}}
    found = changed_copy(after, tmp_path / "found", lesion_source="found", inputs=finder)
    made = change(before, found, tmp_path / "change", spacing=3.0, progress="none")
    [warning] = made.summary()["warnings"]
    assert warning == (
        "The lesions of before come from a given mask, those of found from an automatic segmentation (the finder, "
        "weights abababab): differences between the two ways of outlining count as new or gone lesions. Use one way "
        "for both visits."
    )
    assert made.summary()["lesion_sources"]["before"] == {"source": "given"}
    assert made.summary()["lesion_sources"]["after"]["model"] == "the finder"
    assert f"Warning: {warning}" in (made.path / "report.html").read_text(encoding="utf-8")
    assert f"Warning: {warning}" in capsys.readouterr().err
    other = {"completed_with": {"name": "another", "weights_sha256": "cd" * 32}}
    completed = changed_copy(after, tmp_path / "completed", lesion_source="found", inputs=other)
    results = Result.open(found), Result.open(completed)
    assert "(another, weights cdcdcdcd)" in lesion_warnings(("A", "B"), results)[0]
    assert lesion_warnings(("A", "B"), (results[0], results[0])) == []
    assert lesion_warnings(("A", "B"), (Result.open(before), Result.open(after))) == []


def test_an_empty_mask_at_one_visit_is_said(
    visits: tuple[Path, Path, dict[str, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after, _ = visits
    empty = without_lesions(before, tmp_path / "empty", "given")
    made = change(empty, after, tmp_path / "change", spacing=3.0, progress="none")
    assert made.summary()["by_change"] == {"new": 3}
    [warning] = made.summary()["warnings"]
    assert warning.startswith("The lesion mask of empty is empty, so every lesion of the other visit counts as new.")
    assert f"Warning: {warning}" in (made.path / "report.html").read_text(encoding="utf-8")
    assert f"Warning: {warning}" in capsys.readouterr().err
    [gone] = lesion_warnings(("A", "B"), (Result.open(after), Result.open(empty)))
    assert "every lesion of the other visit counts as gone" in gone
    assert lesion_warnings(("A", "B"), (Result.open(empty), Result.open(empty))) == []
    rejected = "id,state,comment,outline\n1,rejected,,\n"
    (empty / "review.csv").write_text(rejected, encoding="utf-8")
    assert lesion_warnings(("A", "B"), (Result.open(empty), Result.open(after))) == [], "lesions, but all rejected"


def test_bad_input_is_one_sentence(visits: tuple[Path, Path, dict[str, Path]], tmp_path: Path) -> None:
    before, after, t1w = visits
    with pytest.raises(BadInput, match="not a complete result"):
        change(before, tmp_path, tmp_path / "out", progress="none")
    with pytest.raises(BadInput, match="both T1w"):
        change(before, after, tmp_path / "out", before_t1=t1w["before"], progress="none")
    wrong = read_volume(t1w["before"], "T1w")
    write_volume(tmp_path / "far.nii.gz", wrong.data, wrong.affine + 900 * np.eye(4, k=3))
    values = np.random.default_rng(5).normal(100, 20, wrong.data.shape).astype(np.float32)
    write_volume(tmp_path / "noise.nii.gz", values, wrong.affine)
    far, noise = tmp_path / "far.nii.gz", tmp_path / "noise.nii.gz"
    for first, second, words in (
        (far, t1w["after"], "first visit's T1w far.nii.gz does not show the brain of its map"),
        (t1w["before"], far, "second visit's T1w far.nii.gz does not show the brain of its map"),
        (noise, t1w["after"], "could not be registered to the first visit's T1w noise.nii.gz"),
    ):
        with pytest.raises(BadInput, match=words) as error:
            change(before, after, tmp_path / "out", before_t1=first, after_t1=second, spacing=3.0, progress="none")
        assert "--" not in str(error.value)
        assert str(error.value).endswith("each T1w is the image from which the map of its visit was made.")
    (tmp_path / "bad.json").write_text('{"classes_mm3": [0, 50], "sd": [0.1]}')
    with pytest.raises(BadInput, match="holds no valid repeatability"):
        change(before, after, tmp_path / "out", repeatability=tmp_path / "bad.json", progress="none")
    assert Result.open(before).path == before


def test_the_report_shows_the_patients_right_on_the_left() -> None:
    dvr = np.ones((12, 16, 10), np.float32)
    dvr[-2:] = 1.3  # x grows to the right
    lesions = np.zeros(dvr.shape, bool)
    lesions[5:7, 5:9, 4:7] = True
    first = slices((dvr, dvr), lesions).axes[0].images[0].get_array()
    assert np.allclose(first[:, 0], 1.3)
    assert np.allclose(first[:, -1], 1.0)
