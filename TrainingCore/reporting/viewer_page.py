"""viewer.html: a self-contained page to review a Result in a browser, offline and without Slicer.

NiiVue (BSD-2-Clause, vendored with its licence in viewer/) draws the images. The review is saved as review.csv, the
format of the worklist in Slicer. The page holds skull-stripped images on a grid of at least 1 mm.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import RESEARCH_USE, SIMULATED
from ..data import lesion_columns
from ..data.case import title_of
from ..imaging.bias import box_around
from ..imaging.lesion_points import point_in_lesion
from ..imaging.volumes import Volume, resample
from ..runtime.files import write_text
from .document import SIMULATED_PATIENT

if TYPE_CHECKING:
    from ..patient.synthesis import Findings

FOLDER = Path(__file__).parent / "viewer"
NIIVUE, TEMPLATE = "niivue-0.69.0.umd.js", "viewer.html.jinja"
SPACING_MM, MARGIN_MM = 1.0, 3.0
DVR_WINDOW = (0.6, 1.4)
DVR_STEP = 1e-4  # resolution of the stored integers, far below the precision of a map


def write_viewer(
    path: Path,
    images: Mapping[str, Volume],
    dvr: Volume,
    brain: Volume,
    labels: Volume | None,
    rows: Sequence[Mapping[str, Any]],
    simulated: bool,
    simulated_patient: bool,
) -> None:
    """Write viewer.html.

    Args:
        path: file to write.
        images: background images by title ("T1w", "FLAIR"), in T1w space.
        dvr: synthetic DVR, unitless, in T1w space.
        brain: brain mask; voxels outside, including the face, are removed.
        labels: lesion labels, 0 elsewhere, or None.
        rows: the lesion table.
        simulated: whether the model was trained on simulated patients.
        simulated_patient: whether the patient is simulated.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    spacing = max(SPACING_MM, float(min(dvr.spacing)))
    shape, affine = box_around(brain, spacing, MARGIN_MM)
    inside = resample(brain, shape, affine, interpolation="nearest") > 0.5
    shown = [_background(title, resample(image, shape, affine), inside, affine) for title, image in images.items()]
    shown.append(_map(resample(dvr, shape, affine), inside, affine))
    if labels is not None:
        outline = outlines(resample(labels, shape, affine, interpolation="nearest").astype(np.int32))
        shown.append(_entry("lesions", "lesions", outline.astype(np.uint8), affine, "violet", 0.9, 0.5, 1.0))
    columns = [column for column in lesion_columns.shown() if any(row.get(column.name) is not None for row in rows)]
    titles = lesion_columns.titles()
    data = {
        "images": shown,
        "columns": [{"name": c.name, "title": titles[c.name], "tooltip": c.tooltip, "text": c.text} for c in columns],
        "rows": [_row(row, columns, labels) for row in rows],
    }
    banners = [RESEARCH_USE, "Synthetic DVR: computed from MRI by a network, not measured by PET."]
    banners += [f"{SIMULATED}: the model has never seen a measured PET of a person."] if simulated else []
    banners += [SIMULATED_PATIENT] if simulated_patient else []
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string((FOLDER / TEMPLATE).read_text(encoding="utf-8"))
    page = template.render(
        title="Synthetic myelin map",
        banners=banners,
        images=[{key: value for key, value in image.items() if key != "base64"} for image in shown],
        data=Markup(json.dumps(data, allow_nan=False).replace("<", "\\u003c")),
        niivue=Markup((FOLDER / NIIVUE).read_text(encoding="utf-8").replace("</script", "<\\/script")),
    )
    write_text(path, page)


def viewer_of(path: Path, findings: Findings) -> None:
    """Write viewer.html for the findings of a synthesis.

    Args:
        path: HTML file.
        findings: map, lesions and images of the patient.
    """
    prepared = findings.prepared
    images = {title_of(name): image for name in ("t1w", "flair") if (image := prepared.image(name)) is not None}
    affine = prepared.reference.affine
    labels = None if findings.lesions is None else Volume(findings.labels.astype(np.float32), affine, "lesions")
    dvr = Volume(findings.dvr, affine, "synthetic DVR")
    simulated = findings.bundle.simulated, findings.patient.simulated
    write_viewer(path, images, dvr, findings.brain.mask, labels, findings.rows, *simulated)


def outlines(labels: np.ndarray) -> np.ndarray:
    """Find the outline of each lesion: voxels that touch another label in their axial slice.

    Args:
        labels: lesion labels, int, (I, J, K).

    Returns:
        Mask of the outlines, bool, (I, J, K).
    """
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        differs = np.diff(labels, axis=axis) != 0
        before, after = [slice(None)] * 3, [slice(None)] * 3
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= differs
        edge[tuple(after)] |= differs
    return edge & (labels > 0)


def _background(title: str, data: np.ndarray, inside: np.ndarray, affine: np.ndarray) -> dict[str, Any]:
    values = data[inside]
    low, high = (float(value) for value in np.percentile(values, [1, 99.5])) if values.size else (0.0, 1.0)
    scaled = np.clip((data - low) / max(high - low, 1e-6), 0, 1) * 254 + 1
    entry = _entry(title.lower(), title, np.where(inside, scaled, 0).astype(np.uint8), affine, "gray", 1.0, 1, 255)
    return entry | {"background": True, "overlay": False}


def _map(data: np.ndarray, inside: np.ndarray, affine: np.ndarray) -> dict[str, Any]:
    stored = np.where(inside, np.round(data / DVR_STEP), 0).astype(np.int16)
    return _entry("dvr", "synthetic DVR", stored, affine, "viridis", 0.6, *DVR_WINDOW, slope=DVR_STEP)


def _entry(
    name: str,
    title: str,
    data: np.ndarray,
    affine: np.ndarray,
    colormap: str,
    opacity: float,
    low: float,
    high: float,
    slope: float = 1.0,
) -> dict[str, Any]:
    import nibabel

    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(slope, 0.0)
    content = bytearray(image.to_bytes())
    if slope != 1.0:  # nibabel writes scl_slope only when it scales the data itself
        content[112:116] = np.float32(slope).tobytes()
    packed = gzip.compress(bytes(content), 6, mtime=0)
    return {
        "name": name,
        "title": title,
        "base64": base64.b64encode(packed).decode("ascii"),
        "colormap": colormap,
        "opacity": opacity,
        "low": low,
        "high": high,
        "background": False,
        "overlay": True,
    }


def _row(
    row: Mapping[str, Any], columns: Sequence[lesion_columns.LesionColumn], labels: Volume | None
) -> dict[str, Any]:
    centre = [row["x_mm"], row["y_mm"], row["z_mm"]]
    if labels is not None:
        centre = point_in_lesion(labels.data, int(row["id"]), labels.affine, centre).tolist()
    plain = {column.name: row.get(column.name) for column in columns}
    shown = {
        column.name: value if column.text else column.form.format(value)
        for column in columns
        if (value := row.get(column.name)) is not None
    }
    return {**plain, "id": int(row["id"]), "shown": shown, "point_mm": centre}
