"""Output folder of a simulated cohort: its description, and checks of existing content."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..data.participants import SHAPES_OF
from ..runtime.errors import BadInput
from ..runtime.files import PARTIAL_SUFFIX, make_writable, read_json, remove_partials, write_json, write_text
from .bids import DERIVATIVES, FINISHED, GENERATOR, README, SETTINGS_MARK, TUMOUR, description
from .people import DISEASE_NAMES, SITES, SUBTYPE_LEVELS, Person
from .placed_masks import digest_of
from .tumours import LABELS

LABELS_TABLE = f"{TUMOUR.removeprefix('space-T1w_')}.tsv"
OURS = re.compile(rf"sub-[{''.join(SITES)}](HC)?\d{{2,}}")


def _participant_columns(disease: str, real_shapes: bool) -> dict[str, Any]:
    """Describe the columns of participants.tsv (BIDS); gliomas and real lesion masks add some."""
    description: dict[str, Any] = {
        "group": {
            "Description": f"Simulated patient with {DISEASE_NAMES[disease]} or healthy control",
            "Levels": {"patient": DISEASE_NAMES[disease], "control": "healthy"},
        },
        "site": {"Description": f"Simulated site: {', '.join(SITES)} (R: every visit its own protocol)"},
        "age": {"Description": "Age at the first visit", "Units": "year"},
        "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
        "simulated": {"Description": "Whether the person is simulated; true for everybody"},
    }
    if disease == "glioma":
        description["subtype"] = {"Description": "Subtype of the glioma (WHO 2021)", "Levels": SUBTYPE_LEVELS}
        description["grade"] = {"Description": "WHO grade of the glioma, 2 to 4"}
        description["enhancement"] = {
            "Description": "Whether the tumour takes up contrast agent",
            "Levels": {"yes": "", "no": ""},
        }
    if real_shapes:
        description["lesion_shapes"] = {
            "Description": "Where the shapes of the lesions come from",
            "Levels": {"real": "the lesion mask of a real patient", "drawn": "the simulation"},
        }
        description[SHAPES_OF] = {
            "Description": "Digest of that mask; people with the same one share their lesions' shapes"
        }
    return description


def prepare_dataset(
    out: Path, settings: dict[str, Any], people: list[tuple[str, Person]], visits: int, overwrite: bool = False
) -> None:
    """Write the description of the dataset, and remove partial files of a killed run.

    Args:
        out: folder of the dataset.
        settings: settings of the simulation.
        people: label and person.
        visits: number of visits of each person.
        overwrite: replace an existing simulated cohort that has other settings, or more people or visits.

    Raises:
        BadInput: `out` cannot be written, holds other files, or such a cohort and `overwrite` is False.
    """
    make_writable(out)
    same = _same_settings(out, settings)
    kept = {f"sub-{label}": visits for label, _ in people} if same else {}
    surplus = [path for path in _sessions(out) if int(path.name[4:]) > kept.get(path.parent.name, 0)]
    if surplus and not overwrite:
        what = f"more people or visits, such as {surplus[0].relative_to(out)}" if same else "other settings"
        raise BadInput(
            f"{out} holds a simulated cohort of {what}, which would be deleted. Choose another output folder, or give "
            "--overwrite to replace it."
        )
    _clear(out, surplus)
    disease = settings["disease"]
    raw = description(f"Digital people: {DISEASE_NAMES[disease]} (simulated)", "raw", settings)
    write_json(out / "dataset_description.json", raw)
    write_json(
        out / DERIVATIVES / "dataset_description.json",
        description(
            f"Masks, maps and truth of the digital people: {DISEASE_NAMES[disease]} (simulated)", "derivative", settings
        ),
    )
    write_text(out / "README", README)
    _write_participants(out, people, disease)
    for label, person in people:
        if person.scanners:
            rows = [f"ses-{visit}\t{person.scanner(visit)}" for visit in range(1, visits + 1)]
            write_text(_scans_path(out, f"sub-{label}"), "\n".join(["session_id\tsite", *rows]) + "\n")


def _scans_path(out: Path, person: str) -> Path:
    """Table of the sites of a person's scanners, which stand above the site in participants.tsv."""
    return out / person / f"{person}_sessions.tsv"


def _same_settings(out: Path, settings: dict[str, Any]) -> bool:
    """Check whether the cohort in `out`, if any, has these settings; raises BadInput if `out` holds other files."""
    path = out / "dataset_description.json"
    about = read_json(path) if path.is_file() else {}
    generator = about.get("GeneratedBy") if isinstance(about, dict) else None
    first = generator[0] if isinstance(generator, list) and generator and isinstance(generator[0], dict) else {}
    if first.get("Name") != GENERATOR:
        if not all(PARTIAL_SUFFIX in path.name for path in out.iterdir()):
            raise BadInput(f"{out} is not empty and holds no simulated cohort. Choose an empty output folder.")
        return False  # nothing, or what a run that was killed at its very beginning left
    return str(first.get("Description", "")).endswith(SETTINGS_MARK + json.dumps(settings))


def _sessions(out: Path) -> Iterator[Path]:
    """Yield session folders of the simulated people in `out`; raises BadInput if there are other people."""
    for folder in (out, out / DERIVATIVES):
        for person in sorted(folder.glob("sub-*")):
            sessions = sorted(person.iterdir()) if person.is_dir() else []
            sessions = [path for path in sessions if path != _scans_path(out, person.name)]
            strange = [path for path in sessions if not re.fullmatch(r"ses-\d+", path.name)]
            if not OURS.fullmatch(person.name) or strange:
                foreign = (strange or [person])[0]
                raise BadInput(f"{foreign} was not written by simulate. Move it away, or choose another output folder.")
            yield from sessions


def _clear(out: Path, surplus: list[Path]) -> None:
    for path in [path for session in surplus for path in session.rglob(f"*{FINISHED}")]:
        path.unlink()  # first of all: whatever is left when this is interrupted counts as unfinished
    for session in surplus:
        shutil.rmtree(session)
    for table in [_scans_path(out, person.name) for person in out.glob("sub-*")]:
        table.unlink(missing_ok=True)
    for folder in (out, out / DERIVATIVES):
        for person in folder.glob("sub-*"):
            if not any(person.iterdir()):
                person.rmdir()
    remove_partials(out)
    for name in ("noise_ceiling.json", "information_ceiling.json", "information_ceiling.tsv", LABELS_TABLE):
        (out / DERIVATIVES / name).unlink(missing_ok=True)


def shapes_of(people: list[tuple[str, Person]]) -> dict[str, str]:
    """List the real masks whose lesions people have.

    Args:
        people: label and person.

    Returns:
        Digest of the mask by label; people with drawn lesions are left out.
    """
    return {label: digest_of([Path(person.lesion_mask)]) for label, person in people if person.lesion_mask}


def _write_participants(out: Path, people: list[tuple[str, Person]], disease: str) -> None:
    named = _participant_columns(disease, any(person.lesion_mask for _, person in people))
    lines, shapes = ["\t".join(["participant_id", *named])], shapes_of(people)
    for label, person in people:
        facts = {
            "group": "patient" if person.patient else "control",
            "site": person.site,
            "age": str(person.age),
            "sex": person.sex,
            "simulated": "true",
            "subtype": person.subtype or "n/a",
            "grade": str(person.grade or "n/a"),
            "enhancement": person.enhancement or "n/a",
            "lesion_shapes": ("real" if person.lesion_mask else "drawn") if person.patient else "n/a",
            SHAPES_OF: shapes.get(label, "n/a"),
        }
        lines.append("\t".join([f"sub-{label}", *(facts[name] for name in named)]))
    write_text(out / "participants.tsv", "\n".join(lines) + "\n")
    write_json(out / "participants.json", named)
    if disease == "glioma":
        rows = ["index\tname", *(f"{index}\t{name}" for index, name in LABELS.items())]
        write_text(out / DERIVATIVES / LABELS_TABLE, "\n".join(rows) + "\n")
