"""The sketcher-refiner and the joint FLAIR and WMH beside their comparators, small enough for a CPU.

    python -m Testing.small_studies myelin --data digital_ms  --out /tmp/myelin    # simulate --controls 6 ...
    python -m Testing.small_studies wmh    --data digital_wmh --out /tmp/wmh       # simulate --disease wmh ...
    python -m Testing.small_studies real   --out /tmp/real                         # two real MS patients

Every model is trained by `python -m TrainingCore.train` on some people and measured on others; a study that was stopped
goes on where it was. `--models` chooses some of them, `--set` changes settings of all that know them. The real patients
are two: one to learn from, one to test. What comes out says whether the system learns on real slices, no more.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from Testing.studies.real_slices import ms_visits, write_table
from TrainingCore.case import Case
from TrainingCore.cohort import Cohort
from TrainingCore.visit import Visit

ROOT = Path(__file__).resolve().parents[1]
MYELIN = {
    "sketcher_refiner": [
        "width=8",
        "levels=3",
        "discriminator.widths=[4,8,16,32]",
        "sketcher_rate=2e-3",
        "refiner_rate=1e-3",
    ],
    "two_layer_dnn": ["rate=1e-3"],
    "linear": [],
}
MYELIN["sketcher_only"] = MYELIN["sketcher_refiner_l1_only"] = MYELIN["sketcher_refiner"]
JOINT = ["widths=[12,24,48,96]", "rate=1e-3", "validate_every=5"]
MODELS = {
    "myelin": [
        "sketcher_refiner",
        "sketcher_only",
        "two_layer_dnn",
        "sketcher_refiner_l1_only",
        "sketcher_refiner_linear",
    ],
    "wmh": ["joint_flair_wmh", "joint_flair_wmh_unimodal", "joint_flair_wmh_offline", "joint_flair_wmh_linear"],
}
MODELS["real"] = MODELS["wmh"]
SHARED = {
    "myelin": ["size=[40,48,40]", "field_of_view=192.0", "validation_people=2"],  # 4 mm
    "wmh": ["size=[48,64,56]", "field_of_view=192.0", "validation_people=2"],  # 3 mm
    "real": ["size=[80,96,80]", "field_of_view=192.0", "validation_people=0"],  # 2 mm
}
TEST_SHARE = 1 / 3  # of the people of each group and site, the last ones


def settings(study: str, model: str, length: int) -> list[str]:
    """What `--set` is given for a model; length: epochs (myelin) or steps, twice as many for `offline`."""
    if model.endswith("_linear"):
        return [*SHARED[study], "pictures_every=0"]
    if study == "myelin":
        return [*SHARED[study], *MYELIN[model], "pictures_every=0", f"epochs={length}"]
    slices = (
        ["visits_per_step=2", "slices_per_visit=8"] if study == "wmh" else ["visits_per_step=1", "slices_per_visit=8"]
    )
    steps = 2 * length if model.endswith("_offline") else length
    return [*SHARED[study], *JOINT, *slices, "pictures_every=0", f"iterations={steps}"]


def tables_of(cohort: Cohort, out: Path) -> dict[str, Path]:
    """Two tables of visits, split by person: `learn` and `test`, with a share of every group and site in each."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for visit in cohort:
        people = kinds.setdefault((str(visit.info.get("group", "")), str(visit.info.get("site", ""))), [])
        if visit.person not in people:
            people.append(visit.person)
    test = {one for people in kinds.values() for one in sorted(people)[len(people) - round(TEST_SHARE * len(people)) :]}
    out.mkdir(parents=True, exist_ok=True)
    parts = {"learn": [v for v in cohort if v.person not in test], "test": [v for v in cohort if v.person in test]}
    return {role: _table(out / f"{role}.csv", visits) for role, visits in parts.items()}


def _table(path: Path, visits: Sequence[Visit]) -> Path:
    columns = sorted({name for visit in visits for name in visit.files if name != "label_map"})
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["participant_id", "session", "group", "simulated", *columns])
        for visit in visits:
            about = [visit.person, visit.visit, visit.info.get("group", ""), visit.info.get("simulated", "")]
            rows.writerow([*about, *(str(Path(visit.files[name]).resolve()) for name in columns)])
    return path


def train(study: str, model: str, table: Path, run: Path, length: int, changes: Sequence[str]) -> None:
    """Train as a user does, or go on with what was begun; raises CalledProcessError where that fails."""
    command = [sys.executable, "-m", "TrainingCore.train", "--data", str(table), "--out", str(run), "--threads", "1"]
    command += ["--progress", "none", "--resume"]
    if not (run / "run.json").is_file():
        command += ["--recipe", model, "--set", *settings(study, model, length), *changes]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def predictions(run: Path, table: Path) -> list[tuple[Case, np.ndarray | None, np.ndarray | None]]:
    """(case, synthetic target, WMH probability) of every visit of a table, of the run's best epoch."""
    import torch

    from TrainingCore.bundle import Bundle
    from TrainingCore.recipe import grid_shape, grid_spacing
    from TrainingCore.run import Run

    recipe = Run.open(run).recipe
    data = recipe["data"]
    system = Bundle.open(run / "bundles" / "best").load_system("cpu")
    found = []
    for visit in Cohort.read(table, data["inputs"]):
        mri = [name for name in (*data["inputs"], data["target"]) if name != "dvr"]
        case = visit.load(grid_shape(recipe), grid_spacing(recipe), data["intensity"], mri)
        inputs = torch.from_numpy(np.stack([case.volumes[name] for name in data["inputs"]])[None])
        makes = getattr(system, "mode", "") != "unimodal"
        made = system.predict(inputs)[0, 0].numpy() if makes else None
        probability = system.segment(inputs)[0, 0].numpy() if hasattr(system, "segment") else None
        found.append((case, made, probability))
    return found


def myelin_measures(found: Sequence[tuple[Case, Any, Any]]) -> dict[str, float | None]:
    """MAE by region, Dice and shares of the demyelination maps, r of the lesions, p values of the synthetic maps."""
    from TrainingCore.evaluation.demyelination import (
        control_threshold,
        demyelination_measures,
        group_comparison,
        person_regions,
    )
    from TrainingCore.evaluation.lesions import label_lesions
    from TrainingCore.evaluation.statistics import pearson

    controls = [one for one in found if one[0].info.get("group") == "control"]
    white = [case.volumes["white_matter"] for case, _, _ in controls]
    threshold = control_threshold([case.volumes["dvr"] for case, _, _ in controls], white)
    own = control_threshold([made for _, made, _ in controls], white)
    assert threshold is not None
    rows, voxels, pairs = [], [], []
    for case, made, _ in found:
        lesions, dvr = case.volumes["lesions"] & case.volumes["brain"], case.volumes["dvr"]
        about = (str(case.info.get("group")), case.person)
        rows.append(person_regions(dvr, made, case.volumes["white_matter"], lesions, *about))
        voxels.append(demyelination_measures(dvr, made, lesions, threshold, own))
        voxels[-1] |= {"mae_brain": _mean(np.abs(made - dvr)[case.volumes["brain"]])}
        voxels[-1] |= {"mae_lesions": _mean(np.abs(made - dvr)[lesions])}
        labels, volumes = label_lesions(lesions, case.voxel_volume)
        pairs += [(_mean(dvr[labels == n]), _mean(made[labels == n])) for n in range(1, len(volumes) + 1)]
    compared = group_comparison(rows)
    table = {key: _mean([row[key] for row in voxels if row[key] is not None]) for key in voxels[0]}
    table |= {"lesion_r": pearson(*np.array(pairs, float).T)["r"], "threshold": threshold}
    for kind in ("measured", "synthetic"):
        table |= {f"{kind}_{key}": value for key, value in compared[kind].items() if not key.endswith("_n")}
    return table


def wmh_measures(found: Sequence[tuple[Case, Any, Any]]) -> dict[str, float | None]:
    """Means over the visits of DSC, FPR, FNR (%), MAE and PSNR."""
    from TrainingCore.evaluation.segmentation import HYPERINTENSE, segmentation_measures, synthesis_measures

    rows: list[dict[str, float | None]] = []
    for case, made, probability in found:
        brain, row = case.volumes["brain"], {}
        if probability is not None:
            row |= segmentation_measures(case.volumes["lesions"], probability > HYPERINTENSE, brain)
        if made is not None:
            row |= synthesis_measures(case.volumes["flair"], made, brain)
        rows.append(row)
    return {key: _mean([row[key] for row in rows if row[key] is not None]) for key in rows[0]}


def picture(out: Path, models: Sequence[str], table: Path, path: Path, rows: int = 3) -> None:
    """True and false positives of the models that have a bundle on the slices of the first visit with most lesions."""
    from TrainingCore.evaluation.report import png_bytes
    from TrainingCore.evaluation.segmentation import HYPERINTENSE
    from TrainingCore.evaluation.segmentation_figures import SliceOfMethods, positives_figure

    names = {model: model.removeprefix("joint_flair_wmh").strip("_") or "joint" for model in models}
    found = {names[model]: predictions(out / model, table)[0] for model in models if (out / model / "bundles").is_dir()}
    case = next(iter(found.values()))[0]
    area = case.volumes["lesions"].sum(axis=(0, 1))
    levels: list[int] = []
    for level in np.argsort(-area).tolist():
        if len(levels) < rows and all(abs(level - other) > 3 for other in levels):
            levels.append(level)
    slices = []
    for level in sorted(levels, reverse=True):
        images = {"T1w": case.volumes["t1w"], "FLAIR": case.volumes["flair"]}
        images |= {f"FLAIR, {name}": made for name, (_, made, _) in found.items() if made is not None}
        masks = {name: p > HYPERINTENSE for name, (_, _, p) in found.items() if p is not None}
        cut = {name: np.where(case.volumes["brain"], image, -4.0)[..., level].T for name, image in images.items()}
        truth = case.volumes["lesions"][..., level].T
        slices.append(SliceOfMethods(f"slice {level}", cut, truth, {n: m[..., level].T for n, m in masks.items()}))
    path.write_bytes(png_bytes(positives_figure(slices, under="FLAIR")))


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def main() -> int:
    """Train all, print a table line by line, keep it as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("study", choices=tuple(MODELS))
    arguments.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--length", type=int, default=0, help="epochs (myelin: 24) or steps (wmh: 250, real: 130)")
    arguments.add_argument("--models", nargs="*")
    arguments.add_argument("--set", dest="changes", nargs="*", default=[], metavar="key=value")
    arguments.add_argument("--picture", type=Path, help="PNG of true and false positives (wmh, real)")
    chosen = arguments.parse_args()
    if chosen.study == "real":
        visits = ms_visits(chosen.data, chosen.out)
        roles = {"learn": "sub-19", "test": "sub-07"}
        tables = {
            role: write_table(chosen.out / f"{role}.csv", {person: visits[person]}) for role, person in roles.items()
        }
    else:
        needs = ["mtr", "fa", "rd", "ad", "dvr"] if chosen.study == "myelin" else ["t1w", "flair"]
        tables = tables_of(Cohort.read(chosen.data, needs), chosen.out)
    length = chosen.length or {"myelin": 24, "wmh": 250, "real": 130}[chosen.study]
    measure = myelin_measures if chosen.study == "myelin" else wmh_measures
    for model in chosen.models or MODELS[chosen.study]:
        run = chosen.out / model
        if not (run / "bundles" / "best").is_dir():
            train(chosen.study, model, tables["learn"], run, length, chosen.changes)
        row = measure(predictions(run, tables["test"]))
        (run / "measures.json").write_text(json.dumps(row, indent=1), encoding="utf-8")
        print(model, json.dumps({k: None if v is None else float(f"{v:.4g}") for k, v in row.items()}), flush=True)
    if chosen.picture and chosen.study != "myelin":
        picture(chosen.out, chosen.models or MODELS[chosen.study], tables["test"], chosen.picture)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
