"""Compare the synthetic map of one visit with the measured one. Arrays in, rows out, no files."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.case import Case
from ..data.participants import SHAPES_OF
from ..data.table_text import is_empty
from ..imaging.labelling import label_lesions, mean_by_label
from ..imaging.tissues import normal_appearing_white_matter
from ..runtime.errors import MyelinSynthError
from .calibration import error_by_spread, expected_error, spread_by_label, total_spread
from .conformal import interval_of
from .lesion_geometry import FEATURES, GEOMETRY, lesion_geometry, ventricles
from .lesion_myelin import CONTRASTS, estimated_loss, lesion_contrasts
from .lesions import lesion_table
from .measures import DVR_RANGE, image_measures
from .plausibility import columns, plausibility
from .task import SYNTHETIC, ModelImages

TISSUES = ("lesion", "nawm", "grey")
KINDS = ("measured", "synthetic", "clean")


def evaluate_case(
    case: Case, outputs: ModelImages, data_range: float = DVR_RANGE
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Compare a synthetic DVR map with the measured one of a visit.

    Outside the brain both maps count as 0. NAWM is white matter without lesions at least 2 mm from other tissue, as in
    `synthesize`. With several maps, the SD of a lesion's mean over them is its `spread` and, after the model's
    calibration, its `uncertainty`; the visit gets predictions (their number) and voxel_floor, voxel_slope
    (see `calibration.error_by_spread`). With a calibrated model each lesion gets dvr_low and dvr_high (see
    `conformal.interval_of`), and with a regression in its bundle estimated_loss (see `lesion_myelin.estimated_loss`).

    Args:
        case: with `dvr` and `brain`, and where known `lesions`, `white_matter`, `grey_matter`, `dvr_clean`,
            `myelin_loss`.
        outputs: with the synthetic DVR.
        data_range: of DVR, for PSNR and SSIM.

    Returns:
        The visit's row (person, visit, group, MAE / PSNR in dB / SSIM over the brain and in lesions, number and mm3 of
        lesions, `<kind>_<tissue>` mean DVR for kind measured, synthetic, clean and tissue lesion, nawm, grey, and with
        masks of white and grey matter `<kind>_<finding>` of `plausibility.CHECKS`) and one row per lesion of any size
        (see `lesion_table`; mean_dvr is the synthetic one, clean_mean_dvr the noise-free truth, myelin_loss the true
        lost share of myelin, geometry_* see `lesion_geometry`, t1w_contrast and flair_contrast `lesion_contrasts`).
        None: not estimable.

    Raises:
        MyelinSynthError: the prediction holds NaN or infinity in the brain.
    """
    prediction, maps = outputs.images[SYNTHETIC], outputs.maps
    brain = np.asarray(case.volumes["brain"], bool)
    if not np.isfinite(prediction[brain]).all():
        raise MyelinSynthError(f"The model predicts NaN or infinite values for {case.label}. It cannot be evaluated.")
    brain = brain & np.isfinite(case.volumes["dvr"])
    maps_by_kind = {"measured": case.volumes["dvr"], "synthetic": prediction}
    if "dvr_clean" in case.volumes:
        maps_by_kind["clean"] = case.volumes["dvr_clean"]
    dvr = {kind: np.where(brain, values, 0).astype(np.float32) for kind, values in maps_by_kind.items()}
    regions = _disjoint_tissues(case, brain)
    labels, volumes = label_lesions(regions["lesion"], case.voxel_volume)
    visit: dict[str, Any] = {"person": case.person, "visit": case.visit, "group": case.info.get("group", "")}
    visit |= {"lesion_shapes": shapes} if (shapes := case.info.get("lesion_shapes")) else {}
    mask = {SHAPES_OF: of} if not is_empty(of := str(case.info.get(SHAPES_OF, ""))) else {}
    visit |= mask
    visit |= image_measures(
        dvr["measured"], dvr["synthetic"], {"brain": brain, "lesions": regions["lesion"]}, data_range
    )
    visit |= {"lesions": int(volumes.size), "lesion_volume_mm3": float(volumes.sum())}
    for kind in KINDS:
        for tissue in TISSUES:
            visit[f"{kind}_{tissue}"] = _mean(dvr[kind], regions[tissue]) if kind in dvr else None
    visit |= _plausibility(case, dvr, labels, regions["nawm"], brain)
    if len(maps) > 1:
        visit |= {"predictions": len(maps)} | _voxel_errors(outputs, dvr["synthetic"] - dvr["measured"], brain)
    rows = _lesion_rows(case, outputs, dvr, labels, regions["nawm"], brain)
    owner = {"person": case.person, "visit": case.visit, "group": visit["group"], "site": case.info.get("site", "")}
    return visit, [owner | mask | row for row in rows]


def _lesion_rows(
    case: Case,
    outputs: ModelImages,
    dvr: dict[str, np.ndarray],
    labels: np.ndarray,
    nawm: np.ndarray,
    brain: np.ndarray,
) -> list[dict[str, Any]]:
    """One row per lesion: DVR, spread and uncertainty, truth where it is known, geometry."""
    maps, fitted = outputs.maps, outputs.expected_errors
    rows = lesion_table(labels, dvr["synthetic"], nawm, case.affine, measured=dvr["measured"])
    clean = mean_by_label(labels, dvr["clean"]) if "clean" in dvr else None
    lost = mean_by_label(labels, case.volumes["myelin_loss"]) if "myelin_loss" in case.volumes else None
    geometry = _geometry(case, labels, brain)
    contrasts = _contrasts(case, labels, nawm, brain)
    spread = spread_by_label(maps, labels, outputs.scale) if len(maps) > 1 and rows else None
    for row in rows:
        if spread is not None:
            row["spread"] = float(spread[row["id"]])
            row["uncertainty"] = float(expected_error(spread[row["id"]], fitted["lesions"] if fitted else None))
        row["clean_mean_dvr"] = None if clean is None else float(clean[row["id"]])
        row["myelin_loss"] = None if lost is None else float(lost[row["id"]])
        row |= interval_of(outputs.intervals, row["volume_mm3"], row["mean_dvr"])
        own = geometry[row["id"] - 1]
        row |= {f"{GEOMETRY}{name}": _known(value) for name, value in zip(FEATURES, own)}
        row |= {name: _known(values[row["id"]]) for name, values in contrasts.items()}
        row |= estimated_loss(outputs.myelin, row)
    return rows


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _contrasts(case: Case, labels: np.ndarray, nawm: np.ndarray, brain: np.ndarray) -> dict[str, np.ndarray]:
    """Contrast of every lesion in T1w and FLAIR, NaN for an image that the visit lacks."""
    images = {name: case.volumes[name] for name in CONTRASTS if name in case.volumes}
    grey = case.volumes.get("grey_matter", np.zeros(brain.shape, bool))
    return lesion_contrasts(labels, images, {"nawm": nawm, "grey_matter": grey & brain, "brain": brain}, case.affine)


def _geometry(case: Case, labels: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Geometry of every lesion; NaN without masks of white and grey matter, without which all brain would be fluid."""
    tissues = _white_and_grey(case, brain)
    if not tissues:
        return np.full((int(labels.max(initial=0)), len(FEATURES)), np.nan)
    return lesion_geometry(labels, brain, tissues["white_matter"], tissues["grey_matter"], case.affine)


def _white_and_grey(case: Case, brain: np.ndarray) -> dict[str, np.ndarray]:
    """Masks of white and grey matter in the brain; empty unless the visit has both."""
    names = ("white_matter", "grey_matter")
    known = all(name in case.volumes for name in names)
    return {name: np.asarray(case.volumes[name], bool) & brain for name in names} if known else {}


def _plausibility(
    case: Case, dvr: dict[str, np.ndarray], labels: np.ndarray, nawm: np.ndarray, brain: np.ndarray
) -> dict[str, float | None]:
    """Published findings in each map; empty without masks of white and grey matter."""
    tissues = _white_and_grey(case, brain)
    if not tissues:
        return {}
    solid = tissues["white_matter"] | tissues["grey_matter"] | (labels > 0)
    fluid = ventricles(brain, solid, case.affine)
    measures: dict[str, float | None] = {}
    for kind, values in dvr.items():
        checked = plausibility(values, labels, tissues | {"nawm": nawm}, case.affine, case.volumes.get("t1w"), fluid)
        measures |= columns(checked, kind)
    return measures


def _voxel_errors(outputs: ModelImages, error: np.ndarray, brain: np.ndarray) -> dict[str, float]:
    spread = np.std([prediction[brain] for prediction in outputs.maps], axis=0, ddof=1)
    spread = total_spread(spread, None if outputs.scale is None else outputs.scale[brain])
    return {f"voxel_{key}": value for key, value in error_by_spread(spread, error[brain]).items()}


def _disjoint_tissues(case: Case, brain: np.ndarray) -> dict[str, np.ndarray]:
    """Return masks (I, J, K) of lesion, NAWM and grey matter inside the brain, without overlap; empty if unknown."""
    nothing = np.zeros(brain.shape, bool)
    lesion = np.asarray(case.volumes.get("lesions", nothing), bool) & brain
    white = np.asarray(case.volumes.get("white_matter", nothing), bool) & brain & ~lesion
    grey = np.asarray(case.volumes.get("grey_matter", nothing), bool) & brain & ~lesion & ~white
    spacing = tuple(np.linalg.norm(case.affine[:3, :3], axis=0))
    return {"lesion": lesion, "nawm": normal_appearing_white_matter(white, lesion, spacing), "grey": grey}


def _mean(values: np.ndarray, mask: np.ndarray) -> float | None:
    return float(values[mask].mean(dtype=float)) if mask.any() else None
