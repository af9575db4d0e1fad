"""What leaves the scene: the reviewed table, the report with the review, the Result folder, all made from nodes."""

from __future__ import annotations

import base64
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digital_result import LESIONS, NAWM_DVR
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
pytest.importorskip("nibabel", reason="nibabel is not installed")

import slicer
from MyelinSynthLib.display import views as display
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.export import files as export
from MyelinSynthLib.export.files import REJECTED_LABELS, Export, lesionsCsv, reviewReport, writeExport
from MyelinSynthLib.export.snapshots import OUTLINE_WIDTH, PIXELS, WIDTH_MM, Photographer
from MyelinSynthLib.review.segments import labelsOnGrid
from MyelinSynthLib.review.table import ACCEPTED, FLAGGED, REJECTED, Review
from MyelinSynthLib.scene import provenance
from test_module_edits import draw, measureAgain, withMeasured
from test_module_scene import GEOMETRIES, makePatient, place, through


class Page(HTMLParser):
    """Texts, tags that were left open, and pictures of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs))
        elif tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def reviewed(outputs: Any) -> Review:
    review = Review(outputs.table)
    review.setState(0, FLAGGED)
    review.setComment(0, '=HYPERLINK("http://x"), <script>alert(1)</script>')
    review.setState(1, ACCEPTED)
    return review


def test_the_table_keeps_its_digits_and_gains_the_review(application: Application, tmp_path: Path) -> None:
    outputs = through(withMeasured(makePatient()), tmp_path, uncertain=True)
    reviewed(outputs)
    original = list(csv.DictReader((tmp_path / "result" / "lesions.csv").open(encoding="utf-8")))
    rows = list(csv.DictReader(io.StringIO(lesionsCsv(Review(outputs.table)))))
    for before, after in zip(original, rows, strict=True):
        assert {key: after[key] for key in before} == before
    assert [row["state"] for row in rows] == ["flagged", "accepted"]
    assert rows[0]["comment"].startswith("'="), "a spreadsheet must not run a comment"
    assert rows[0]["region"] == "periventricular"


@pytest.mark.parametrize(("name", "spacing"), GEOMETRIES)
def test_the_result_folder_is_made_again_as_it_was(
    application: Application, tmp_path: Path, name: str, spacing: tuple[float, float, float]
) -> None:
    from TrainingCore.data.result import Result
    from TrainingCore.imaging.volumes import read_volume

    patient = withMeasured(makePatient(name, spacing))
    place(patient.flair)
    shift = np.eye(4)
    shift[:3, 3] = (2.0, 1.0, -3.0)
    outputs = through(patient, tmp_path, shift, uncertain=True)
    writeExport(outputs.nodes(), Export(tmp_path, "mine", table=False, report=False))
    before, after = tmp_path / "result", tmp_path / "mine_result"
    assert Result.open(after).lesions() == Result.open(before).lesions()
    for file in ("dvr.nii.gz", "brain_mask.nii.gz", "lesion_labels.nii.gz", "uncertainty.nii.gz"):
        one, other = (read_volume(folder / file) for folder in (before, after))
        index = np.argwhere(one.data != 0)
        world = index @ one.affine[:3, :3].T + one.affine[:3, 3]
        moved = np.rint((world - other.affine[:3, 3]) @ np.linalg.inv(other.affine[:3, :3]).T).astype(int)
        np.testing.assert_array_equal(other.data[tuple(moved.T)], one.data[tuple(index.T)], err_msg=file)
        assert (other.data != 0).sum() == len(index)
    for file in ("flair_to_t1.tfm", "report.html", "lesions.csv"):
        assert (after / file).read_text(encoding="utf-8") == (before / file).read_text(encoding="utf-8"), file
    record = Result.open(after).provenance
    assert record.pop("review")["states"]["unreviewed"] == 2
    assert record == Result.open(before).provenance


def test_the_result_says_which_lesions_were_edited(application: Application, tmp_path: Path) -> None:
    from TrainingCore.data.result import Result
    from TrainingCore.imaging.volumes import read_volume

    outputs = through(makePatient(), tmp_path)
    mask = labelsOnGrid(outputs.segmentation, outputs.dvr)[0] == 1
    mask[:, :, : int(np.nonzero(mask)[2].min()) + 1] = False
    draw(outputs, 1, mask)
    measureAgain(outputs.nodes())
    writeExport(outputs.nodes(), Export(tmp_path, "mine"))
    again = Result.open(tmp_path / "mine_result")
    assert again.provenance["review"]["edited_lesions"] == [1]
    labels = read_volume(tmp_path / "mine_result" / "lesion_labels.nii.gz")
    assert (labels.data == 1).sum() == mask.sum()
    assert again.lesions()[0]["volume_mm3"] == pytest.approx(mask.sum() * 4.5, rel=1e-4)


def test_rejected_lesions_leave_the_export_and_are_kept_beside_it(application: Application, tmp_path: Path) -> None:
    from TrainingCore.data.result import Result
    from TrainingCore.imaging.volumes import read_volume

    outputs = through(withMeasured(makePatient()), tmp_path)
    review = reviewed(outputs)
    review.setState(1, REJECTED)
    writeExport(outputs.nodes(), Export(tmp_path, "mine", report=False))
    rows = list(csv.DictReader((tmp_path / "mine_lesions.csv").open(encoding="utf-8")))
    assert [(row["id"], row["state"]) for row in rows] == [("1", "flagged")]
    rejected = list(csv.DictReader((tmp_path / "mine_rejected_lesions.csv").open(encoding="utf-8")))
    assert [(row["id"], row["state"]) for row in rejected] == [("2", "rejected")]

    before, after = Result.open(tmp_path / "result"), Result.open(tmp_path / "mine_result")
    assert after.lesions() == before.lesions()[:1]
    found, kept = (read_volume(after.path / name).data for name in ("lesion_labels.nii.gz", REJECTED_LABELS))
    assert (np.unique(found).tolist(), np.unique(kept).tolist()) == ([0, 1], [0, 2])
    assert "2" in (after.path / "review.csv").read_text(encoding="utf-8").splitlines()[2]
    summary, old = after.provenance["summary"], before.provenance["summary"]
    assert (summary["lesions"], old["lesions"]) == (1, 2)
    assert summary["lesion_load_ml"] == pytest.approx(after.lesions()[0]["volume_mm3"] / 1000, abs=1e-3)
    assert summary["synthetic_dvr"]["nawm"] == old["synthetic_dvr"]["nawm"]
    for name, column in (("synthetic_dvr", "mean_dvr"), ("measured_dvr", "measured_mean_dvr")):
        assert summary[name]["lesions"]["mean"] == pytest.approx(after.lesions()[0][column], rel=1e-4), name
    assert after.provenance["review"]["lesions_that_count"] == 1

    review.setState(1, ACCEPTED)
    again = Export(tmp_path, "mine", report=False, result=False)
    assert tmp_path / "mine_rejected_lesions.csv" in again.existing(), "the question before replacing names it"
    writeExport(outputs.nodes(), again)
    assert not (tmp_path / "mine_rejected_lesions.csv").exists()


def test_the_report_gains_a_section_that_is_escaped_and_self_contained(
    application: Application, tmp_path: Path
) -> None:
    outputs = through(makePatient(), tmp_path)
    reviewed(outputs)
    text = reviewReport(outputs.nodes())
    page = Page(text)
    assert not page.open
    words = " ".join(page.texts)
    assert "2 of 2 lesions reviewed" in words
    assert "0 unreviewed, 1 accepted, 1 flagged, 0 rejected" in words
    assert "Research use only, not for diagnosis. Simulated" in words
    assert "<script>alert(1)</script>" in words, "shown as it was typed"
    assert "<script" not in text
    assert len(page.pictures) == 1, "of the flagged lesion alone"
    assert page.pictures[0]["src"].startswith("data:image/png;base64,")
    assert base64.b64decode(page.pictures[0]["src"].split(",")[1]).startswith(b"\x89PNG")
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert text.index("<section>") < text.index("</body>")


def test_pictures_show_the_lesion_its_outline_and_the_colours_of_the_map(
    application: Application, tmp_path: Path
) -> None:
    patient = makePatient("oblique")
    transform = place(patient.t1w)
    for node in (patient.flair, patient.lesions):
        node.SetAndObserveTransformNodeID(transform.GetID())
    outputs = through(patient, tmp_path)
    nodes = outputs.nodes()
    photographer = Photographer(nodes, labelsOnGrid(outputs.segmentation, outputs.dvr))
    picture = photographer.picture(1, Review(outputs.table).centre(0, outputs.dvr), REJECTED)
    assert picture.shape == (PIXELS, 3 * PIXELS, 3)
    middle = picture[PIXELS // 2, 2 * PIXELS + PIXELS // 2] / 255
    assert middle == pytest.approx(display.dvrColour(LESIONS[0][2]), abs=0.01)
    right = picture[PIXELS // 2, 2 * PIXELS + PIXELS // 2 - round(8 * PIXELS / WIDTH_MM)] / 255
    assert right == pytest.approx(display.dvrColour(NAWM_DVR), abs=0.01)
    outline = np.abs(picture / 255 - display.COLOURS_OF_STATE[REJECTED]).max(axis=2) < 0.01
    rows, columns = np.nonzero(outline[:, 2 * PIXELS :])
    apart = np.hypot(rows - (PIXELS - 1) / 2, columns - (PIXELS - 1) / 2) * WIDTH_MM / PIXELS
    assert abs(np.median(apart) - LESIONS[0][1]) < 1.2 + OUTLINE_WIDTH * WIDTH_MM / PIXELS
    grey = picture[:, :PIXELS][~outline[:, :PIXELS]]
    assert np.ptp(grey, axis=1).max() == 0, "the T1w is grey"
    assert np.ptp(grey) > 50


def test_a_result_without_lesions_is_exported(application: Application, tmp_path: Path) -> None:
    patient = makePatient()
    patient.lesions = None
    outputs = through(patient, tmp_path)
    written = writeExport(outputs.nodes(), Export(tmp_path, "mine"))
    assert [path.name for path in written] == ["mine_lesions.csv", "mine_report.html", "mine_result"]
    assert not (tmp_path / "mine_result" / "lesion_labels.nii.gz").exists()


def test_somebody_elses_folder_is_never_replaced(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    (tmp_path / "mine_result").mkdir()
    (tmp_path / "mine_result" / "thesis.docx").write_text("years of work")
    with pytest.raises(SynthesisError, match="holds other files"):
        writeExport(outputs.nodes(), Export(tmp_path, "mine"))
    assert (tmp_path / "mine_result" / "thesis.docx").read_text() == "years of work"


@pytest.mark.parametrize("name", ["", "..", "a/b", "."])
def test_names_that_leave_the_folder_are_refused(application: Application, tmp_path: Path, name: str) -> None:
    outputs = through(makePatient(), tmp_path)
    with pytest.raises(SynthesisError, match="name"):
        writeExport(outputs.nodes(), Export(tmp_path, name))


def test_a_full_disk_leaves_the_older_result_whole(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = through(makePatient(), tmp_path)
    writeExport(outputs.nodes(), Export(tmp_path, "mine"))
    before = sorted(path.name for path in tmp_path.iterdir())

    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "_writeVolume", full)
    with pytest.raises(SynthesisError, match="No space left"):
        writeExport(outputs.nodes(), Export(tmp_path, "mine"))
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "mine_result" / "dvr.nii.gz").is_file()


def test_a_scene_that_lost_nodes_says_what_is_missing(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    slicer.mrmlScene.RemoveNode(outputs.brain)
    nodes = provenance.nodesOfRun(slicer.mrmlScene, "run-1")
    with pytest.raises(SynthesisError, match="brain"):
        writeExport(nodes, Export(tmp_path, "mine", table=False, report=False))
    assert not (tmp_path / "mine_result").exists()
