"""Table of a study: one row per visit with measures of the map and columns of participants.tsv."""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.case import label_of
from ..data.cohort_bids import participants, sessions
from ..data.participants import rows_of_people
from ..data.result import LESION_LABELS, Result
from ..data.review import REVIEW, rejected_lesions, without
from ..evaluation.lesions import PAPER_MINIMUM_MM3
from ..evaluation.statistics import weighted_mean
from ..imaging.labelling import at_least
from ..runtime.files import read_json
from .bids_words import in_bids_words
from .left_out import label_parts, left_out
from .names import CHANGES, RESULTS
from .sessions import MADE_FROM, SOURCE, dates_of_sessions, keys_of, session_before

FEW_LESIONS = 3  # (ours) a lesion mean over fewer is noted
LARGE_LOAD_ML, SMALL_BRAIN_ML, LARGE_BRAIN_ML = 100.0, 900.0, 1900.0  # (ours) beyond these a mask is worth a look

Row = dict[str, Any]


@dataclass(frozen=True)
class GroupMeasure:
    """A measure of the table: name, title, units and description for the data dictionary."""

    name: str
    title: str
    units: str
    description: str


MEASURES = (
    GroupMeasure(
        "lesion_dvr", "mean lesion DVR", "unitless", "Synthetic DVR over lesions of 50 mm3 or more, by volume"
    ),
    GroupMeasure("nawm_dvr", "NAWM DVR", "unitless", "Synthetic DVR of normal-appearing white matter"),
    GroupMeasure("grey_matter_dvr", "grey matter DVR", "unitless", "Synthetic DVR of grey matter"),
    GroupMeasure("lesion_to_nawm", "lesion DVR / NAWM DVR", "unitless", "lesion_dvr divided by nawm_dvr"),
    GroupMeasure("lesion_load_ml", "lesion load (ml)", "ml", "Volume of all lesions"),
    GroupMeasure("lesions", "lesions", "count", "Number of lesions"),
    GroupMeasure("lesions_of_50_mm3", "lesions of 50 mm3 or more", "count", "Number of lesions of 50 mm3 or more"),
    GroupMeasure(
        "demyelinated_share",
        "demyelinated share of lesions",
        "unitless",
        "Share of the lesional volume (lesions of 50 mm3 or more) whose DVR lies below the limit from NAWM",
    ),
    GroupMeasure(
        "estimated_loss",
        "estimated myelin loss of lesions",
        "unitless",
        "Share of myelin lost in lesions of 50 mm3 or more, by volume, estimated from T1w, FLAIR and map; learnt from "
        "simulated lesions",
    ),
    GroupMeasure(
        "change_dvr", "change of lesion DVR", "unitless", "Mean difference to the session before, lesions by volume"
    ),
    GroupMeasure(
        "change_nawm_dvr",
        "change of NAWM DVR",
        "unitless",
        "Difference of normal-appearing white matter to the session before; a scanner or calibration shifts it too",
    ),
    GroupMeasure(
        "change_to_nawm",
        "change of lesion DVR minus that of NAWM",
        "unitless",
        "Mean difference of lesions to the session before minus that of normal-appearing white matter",
    ),
    GroupMeasure(
        "demyelination_index", "demyelination index", "unitless", "Share of lesional voxels demyelinated since then"
    ),
    GroupMeasure(
        "remyelination_index", "remyelination index", "unitless", "Share of lesional voxels remyelinated since then"
    ),
    GroupMeasure("brain_ml", "brain (ml)", "ml", "Volume of the brain mask"),
)
NAMES = tuple(column.name for column in MEASURES)
SINCE_BEFORE = ("change_dvr", "change_nawm_dvr", "change_to_nawm", "demyelination_index", "remyelination_index")


def read_rows(data: Path, out: Path) -> list[Row]:
    """Read one row per visit that has a map and is not left out (see `left_out`).

    Args:
        data: BIDS dataset with participants.tsv and sessions.tsv.
        out: derivatives dataset.

    Returns:
        Rows with participant_id, session_id, measures, QC, and the columns of the input dataset. Columns of
        participants.tsv and sessions.tsv keep their text; `n/a` and empty cells are None.
    """
    stale = left_out(data, out)
    folders = [path for path in sorted((out / RESULTS).glob("sub-*")) if path.is_dir() and path.name not in stale]
    labels = sorted({label_parts(folder.name)[0] for folder in folders})
    people, _ = rows_of_people(participants(data / "participants.tsv"), labels)
    rows = []
    for folder in folders:
        person, visit = label_parts(folder.name)
        own = sessions(data, person) if visit else {}
        about = dict(people.get(person, {})) | own.get(visit, {})
        changed = change_since(out, person, visit, stale, dates_of_sessions(own))
        rows.append(row_of(Result.open(folder), person, visit, about, changed))
    return rows


def change_since(
    out: Path, person: str, visit: str, stale: Container[str] = (), dates: Mapping[str, str] | None = None
) -> Row:
    """Read the change measures of a visit since the session before it.

    Args:
        out: derivatives dataset.
        person: label without `sub-`.
        visit: label without `ses-`.
        stale: labels of visits that are left out.
        dates: acq_time of the person's sessions by label.

    Returns:
        Measures by name, whether NAWM is `shifted`, and `warnings` of the comparison; empty without a comparison;
        {outdated: True} if one of the visits was synthesized again or
        reviewed after the comparison, or is left out, or if the comparison is with an earlier session than the one
        before, which got its map later.
    """
    if not visit or not any((out / CHANGES).glob(f"sub-{person}_ses-*_ses-{visit}/{SOURCE}")):
        return {}
    before = session_before(out, person, visit, dates)
    source = out / CHANGES / f"{label_of(person, before or '')}_ses-{visit}" / SOURCE
    if before is None or label_of(person, before) in stale or not source.is_file():
        return {"outdated": True}
    made_from = source.with_name(MADE_FROM)
    if made_from.is_file() and read_json(made_from) != keys_of(out, person, (before, visit)):
        return {"outdated": True}
    summary = read_json(source)
    voxels, nawm = summary["voxels"], summary.get("nawm") or {}
    changed = {"change_dvr": summary["mean_difference"], "change_nawm_dvr": nawm.get("difference")}
    changed["change_to_nawm"] = summary.get("relative_to_nawm", {}).get("mean_difference")
    changed |= {name: voxels[name] for name in ("demyelination_index", "remyelination_index")}
    expected = nawm.get("expected")
    shifted = expected is not None and abs(nawm.get("difference") or 0.0) > expected
    return changed | {"shifted": shifted, "warnings": summary.get("warnings", [])}


def row_of(result: Result, person: str, visit: str, about: Mapping[str, Any], changed: Row) -> Row:
    """Make the row of one visit.

    Args:
        result: the visit's Result.
        person: label without `sub-`.
        visit: label without `ses-`; empty if there are no sessions.
        about: columns of participants.tsv and sessions.tsv.
        changed: what `change_since` returned.

    Returns:
        Row of the study table; None for what is not known.
    """
    summary = result.provenance["summary"]
    tissue = {name: (summary["synthetic_dvr"].get(name) or {}).get("mean") for name in ("nawm", "grey_matter")}
    drawn = (result.path / LESION_LABELS).is_file()  # without a mask nothing is known of the lesions
    rejected = rejected_lesions(result.path)
    _, lesions = without(rejected, None, result.lesions())
    large = [row for row in lesions if at_least(row["volume_mm3"], PAPER_MINIMUM_MM3)]
    volumes = [row["volume_mm3"] for row in large]
    lesion_dvr = weighted_mean([row["mean_dvr"] for row in large], volumes) if large else None
    share = weighted_mean([row["demyelinated_share"] for row in large], volumes) if large else None
    lost = weighted_mean([row.get("estimated_loss") for row in large], volumes) if large else None
    row: Row = {"participant_id": f"sub-{person}", "session_id": f"ses-{visit}" if visit else None}
    row |= {
        "lesion_dvr": lesion_dvr,
        "nawm_dvr": tissue["nawm"],
        "grey_matter_dvr": tissue["grey_matter"],
        "lesion_to_nawm": lesion_dvr / tissue["nawm"] if lesion_dvr and tissue["nawm"] else None,
        "lesion_load_ml": sum(row["volume_mm3"] for row in lesions) / 1000 if drawn else None,
        "lesions": len(lesions) if drawn else None,
        "lesions_of_50_mm3": len(large) if drawn else None,
        "demyelinated_share": share,
        "estimated_loss": lost,
        "brain_ml": summary["brain_ml"],
    }
    row |= {name: changed.get(name) for name in SINCE_BEFORE}
    row["lesions_rejected"] = len(rejected) if (result.path / REVIEW).is_file() else None
    points = flags(row, _warnings(result.provenance))
    points += ["change older than the review or the map: run participant again"] if changed.get("outdated") else []
    points += ["NAWM changed more than between two scans without a change"] if changed.get("shifted") else []
    points += [text.rstrip(".") for text in changed.get("warnings", [])]
    row["qc"] = "; ".join(points) or None
    row["lesion_source"] = result.provenance["lesion_source"]
    row["simulated_training_data"] = result.provenance["model"]["simulated_training_data"]
    row["simulated_patient"] = bool(result.provenance.get("simulated_patient"))
    return row | {name: _text_or_none(text) for name, text in about.items() if name not in row}


def _warnings(provenance: Mapping[str, Any]) -> list[str]:
    """Warnings of a synthesis; that lesions were found automatically is said by `lesion_source`."""
    finder = provenance["inputs"].get("lesions_found_by")
    return [text for text in provenance["warnings"] if finder is None or finder["name"] not in text]


def flags(row: Row, warnings: Sequence[str]) -> list[str]:
    """Derive the quality-control flags of a visit.

    Args:
        row: measures of the visit.
        warnings: sentences of its provenance.

    Returns:
        Short texts.
    """
    sentences = [" ".join(in_bids_words(text).split()).rstrip(".") for text in warnings]
    if row["nawm_dvr"] is not None and row["grey_matter_dvr"] is not None and row["nawm_dvr"] < row["grey_matter_dvr"]:
        sentences.append("NAWM below grey matter")
    if row["lesion_to_nawm"] is not None and row["lesion_to_nawm"] > 1:
        sentences.append("lesions above NAWM")
    if row["lesion_load_ml"] is None:
        sentences.append("no lesion mask")
    elif row["lesion_load_ml"] > LARGE_LOAD_ML:
        sentences.append(f"lesion load above {LARGE_LOAD_ML:g} ml")
    if not SMALL_BRAIN_ML <= row["brain_ml"] <= LARGE_BRAIN_ML:
        sentences.append(f"brain of {row['brain_ml']:.0f} ml")
    if row["lesions_of_50_mm3"] in range(1, FEW_LESIONS):
        sentences.append("few lesions")
    return sentences


def _text_or_none(text: Any) -> Any:
    """Text of a cell of participants.tsv; None if it is empty or `n/a`."""
    return None if text is None or str(text).strip().lower() in ("", "n/a", "na", "nan") else str(text).strip()


def as_tsv(rows: Sequence[Row]) -> str:
    """Write the table in the form of BIDS: tab-separated, `n/a` for None, numbers with five digits.

    Args:
        rows: rows of the study table; missing keys become `n/a`.

    Returns:
        Text of the file.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_cell(row.get(name)) for name in columns] for row in rows])
    return stream.getvalue()


def _cell(content: Any) -> str:
    if content is None:
        return "n/a"
    if isinstance(content, bool):
        return str(content).lower()
    return f"{content:.5g}" if isinstance(content, float) else str(content)


def dictionary() -> dict[str, Any]:
    """The data dictionary of the table (BIDS JSON)."""
    about: dict[str, Any] = {
        column.name: {"Description": column.description, "Units": column.units} for column in MEASURES
    }
    about["qc"] = {"Description": "Points that a person should check; n/a: none"}
    about["lesions_rejected"] = {
        "Description": "Lesions rejected in the review, which no measure counts; n/a: not reviewed"
    }
    about["lesion_source"] = {
        "Description": "Whose lesion mask it is",
        "Levels": {"given": "a file of the dataset", "found": "found automatically", "none": "there is no lesion mask"},
    }
    about["simulated_training_data"] = {"Description": "Whether the model was trained on simulated patients"}
    about["simulated_patient"] = {"Description": "Whether the images are of a simulated patient"}
    return about
