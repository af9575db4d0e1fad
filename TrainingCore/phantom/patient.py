"""Simulate one visit of one person, without files."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.case import ALL_MRI, Case
from ..runtime.errors import BadInput
from .anatomy import FIELD_OF_VIEW_MM, Anatomy, grow_anatomy
from .edition import phantom_edition
from .lesion_growth import grow_lesions, next_visit
from .lesions import Lesions, no_lesions
from .lookalikes import LookAlikes, add_lookalikes, badly_stripped
from .mri import make_scene, render
from .people import (
    COUNT_FACTOR,
    DEFAULT_CONTRASTS,
    LOAD_FACTOR,
    Person,
    check_disease,
    check_simulated_contrasts,
    check_site,
    draw_person,
)
from .pet import scan_dvr, true_dvr
from .placed_masks import place_lesions
from .protocols import visit_protocol
from .rater import drawn_mask
from .tissues import Scene
from .tumours import ENHANCING_LABEL, Tumour, grow_tumour, place_mass
from .vascular import grow_hyperintensities


def check_phantom_size(size: int) -> None:
    """Check the size of the images, which the networks halve four times.

    Args:
        size: voxels along each edge of 192 mm.

    Raises:
        BadInput: it is not a multiple of 16 from 32 to 256.
    """
    if size < 32 or size % 16 or size > 256:
        raise BadInput(f"Size {size} is invalid. Choose a multiple of 16 from 32 to 256, e.g. 128.")


COARSE_SIZE = 48  # voxels of the anatomy on which a tumour's place is chosen, the same whatever the image's size


@functools.lru_cache(maxsize=2)
def _anatomy(person: Person, size: int) -> Anatomy:
    return grow_anatomy(person.seed, person.site, size, person.age)


@functools.lru_cache(maxsize=2)
def _body(person: Person, size: int) -> tuple[Anatomy, Lesions]:
    anatomy = _anatomy(person, size)
    if not person.patient:
        return anatomy, no_lesions(anatomy.shape)
    if person.lesion_mask:
        return anatomy, place_lesions(anatomy, person.lesion_mask, person.seed)
    return anatomy, grow_lesions(anatomy, person.seed, LOAD_FACTOR[person.site], COUNT_FACTOR[person.site])


def anatomy_and_lesions(person: Person, visit: int, size: int) -> tuple[Anatomy, Lesions]:
    """Generate the anatomy and the lesions of a person with MS, or of a control.

    Args:
        person: the person.
        visit: number of the visit, from 1.
        size: voxels along each edge of 192 mm.
    """
    anatomy, lesions = _body(person, size)
    if person.patient:
        for number in range(2, visit + 1):
            lesions = next_visit(lesions, anatomy, person.seed, number)
    return anatomy, lesions


def simulate_visit(
    person_seed: int,
    visit: int = 1,
    site: str = "A",
    size: int = 128,
    patient: bool = True,
    label: str = "",
    disease: str = "ms",
    contrasts: Sequence[str] | None = None,
    lesion_mask: str = "",
) -> Case:
    """Simulate one visit of a person, see `simulate_person_visit`.

    Args:
        person_seed: seed of the person.
        visit: number of the visit, from 1.
        site: A, B, C or R.
        size: voxels along each edge of 192 mm.
        patient: False for a healthy control.
        label: label of the person in the Case.
        disease: ms, wmh or glioma.
        contrasts: names of case.ALL_MRI, and `dvr`; None for DEFAULT_CONTRASTS.
        lesion_mask: see `simulate_case`.

    Returns:
        Case with raw MRI, `dvr` (measured), `dvr_clean` (noise-free) and masks.

    Raises:
        BadInput: unknown site, disease or contrast, invalid size or visit, or nilearn's template is missing.
    """
    check_site(site)
    check_disease(disease)
    person = replace(draw_person(person_seed, site, patient, disease), lesion_mask=lesion_mask)
    return simulate_person_visit(
        person, visit, size, DEFAULT_CONTRASTS[disease] if contrasts is None else contrasts, label
    )


def simulate_case(
    seed: int,
    site: str = "R",
    spacing: float = 2.0,
    patient: bool = True,
    disease: str = "ms",
    contrasts: Sequence[str] | None = None,
    lesion_mask: str = "",
) -> Case:
    """Simulate the first visit of a random person, for networks that train on visits simulated on the fly; no files.

    Args:
        seed: seed of the person; the same seed, site and spacing give the same arrays. Seeds up to 2**63 - 1 are
            independent people.
        site: A, B, C, or R for a random MRI protocol.
        spacing: voxel edge in mm; 192 mm over it must be a multiple of 16 voxels (1, 1.5, 2, 3, 4, 6 mm).
        patient: False for a healthy control.
        disease: ms, wmh or glioma.
        contrasts: see DEFAULT_CONTRASTS (ms: t1w, flair, dvr).
        lesion_mask: file of a real lesion mask in MNI space whose lesions a person with MS gets; empty: drawn ones.

    Returns:
        Case with raw images in arbitrary units (0 outside the brain), dvr, dvr_clean, myelin_loss and masks, on a cube
        of 192 mm, RAS+.

    Raises:
        BadInput: the site, spacing, disease or contrasts do not exist, or nilearn's template is missing.

    Example:
        case = simulate_case(seed=12, site="R", spacing=2.0)  # about 1 CPU second
    """
    size = round(FIELD_OF_VIEW_MM / spacing) if spacing > 0 else 0
    if size < 1 or abs(size * spacing - FIELD_OF_VIEW_MM) > 1e-6 * FIELD_OF_VIEW_MM:
        raise BadInput(f"A spacing of {spacing:g} mm does not divide {FIELD_OF_VIEW_MM:g} mm. Choose e.g. 1.5, 2 or 3.")
    return simulate_visit(seed, 1, site, size, patient, f"{site}{seed}", disease, contrasts, lesion_mask)


def simulate_person_visit(person: Person, visit: int, size: int, contrasts: Sequence[str], label: str = "") -> Case:
    """Simulate one visit of a person; only the requested contrasts are computed.

    Args:
        person: the person.
        visit: number of the visit, from 1.
        size: voxels along each edge of the 192 mm cube.
        contrasts: names of case.ALL_MRI, and `dvr`.
        label: BIDS label of the person; empty for one derived from the seed.

    Returns:
        Case. Weighted images have arbitrary units; for the units of maps see microstructure.simulate_maps; `lesions` is
        the mask as drawn by a rater; `tumour` (gliomas only) is a label map, see tumours.Tumour.

    Raises:
        BadInput: size or site that cannot be simulated.
    """
    return simulate_with_truth(person, visit, size, contrasts, label)[0]


def simulate_with_truth(
    person: Person, visit: int, size: int, contrasts: Sequence[str], label: str = ""
) -> tuple[Case, Scene]:
    """Simulate a visit and return the scene behind the images too.

    Runs on one BLAS thread: with more, sums are rounded in another order, and the same seed would not give the same
    bytes.

    Args:
        person: the person.
        visit: number of the visit, from 1.
        size: voxels along each edge of 192 mm.
        contrasts: names of case.ALL_MRI, and `dvr`.
        label: label of the person in the Case.

    Returns:
        Case, see `simulate_person_visit`, and scene: true lesions, tissue shares and relaxation.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        return _simulate(person, visit, size, contrasts, label)


def _simulate(person: Person, visit: int, size: int, contrasts: Sequence[str], label: str) -> tuple[Case, Scene]:
    check_phantom_size(size)
    check_simulated_contrasts(contrasts, person.disease)
    if visit < 1:
        raise BadInput(f"Visit {visit} does not exist. Visits are numbered from 1.")
    whole, lesions, tumour = body(person, visit, size)
    protocol = visit_protocol(person.seed, visit, person.scanner(visit))
    drawn = drawn_mask(lesions.mask, whole, person.seed) if tumour is None else lesions.mask
    artefacts = LookAlikes()
    if person.lookalikes and tumour is None:
        whole, lesions, artefacts = add_lookalikes(whole, lesions, person.seed, visit, person.age)
    anatomy = _peeled(whole, protocol.rim)
    if person.lookalikes:
        anatomy = badly_stripped(anatomy, person.seed, visit)
    scene = make_scene(anatomy, lesions, protocol, person.seed, visit, tumour, artefacts)
    volumes = render(scene, [name for name in ALL_MRI if name in contrasts])
    info = _about(person, asdict(protocol))
    if person.scanners:
        info["scanner"] = person.scanner(visit)
    if "dvr" in contrasts:
        truth = true_dvr(whole, lesions, person.seed)
        measured, clean, info["pet"] = scan_dvr(truth, whole, person.seed, visit, person.scanner(visit))
        volumes["dvr"], volumes["dvr_clean"] = (_rounded(np.where(anatomy.brain, v, 0.0)) for v in (measured, clean))
        volumes["myelin_loss"] = _rounded(np.where(anatomy.brain & drawn, lost_myelin(lesions), 0.0))
    volumes.update(_masks(anatomy, drawn, tumour))
    if tumour is not None:
        volumes["tumour"] = np.where(anatomy.brain, tumour.labels, 0).astype(np.uint8)
        volumes["enhancing"] = volumes["tumour"] == ENHANCING_LABEL
    return Case(label or f"{person.site}{person.seed}", str(visit), volumes, anatomy.affine, info), scene


def lost_myelin(lesions: Lesions) -> np.ndarray:
    """Compute the share of myelin that is lost, cavities included.

    Args:
        lesions: of the visit.

    Returns:
        (n, n, n), 0 to 1.
    """
    return 1.0 - (1.0 - lesions.myelin_loss()) * (1.0 - lesions.cavity)


def body(person: Person, visit: int, size: int) -> tuple[Anatomy, Lesions, Tumour | None]:
    """Generate anatomy, lesions and tumour of a person.

    Args:
        person: the person.
        visit: number of the visit, from 1.
        size: voxels along each edge of 192 mm.

    Returns:
        Tumour is None except for gliomas.
    """
    visit = visit if person.changes else 1
    if person.disease == "ms" or not person.patient:
        return *anatomy_and_lesions(person, visit, size), None
    if person.disease == "wmh":
        anatomy = _anatomy(person, size)
        return anatomy, grow_hyperintensities(anatomy, person.seed, person.age, visit), None
    mass = place_mass(_anatomy(person, COARSE_SIZE), person, visit)
    anatomy = grow_anatomy(person.seed, person.site, size, person.age, mass)
    return grow_tumour(anatomy, person, mass)


def _masks(anatomy: Anatomy, drawn: np.ndarray, tumour: Tumour | None) -> dict[str, np.ndarray]:
    lesional = drawn if tumour is None else np.zeros(anatomy.shape, bool)  # a tumour is no white matter
    return {
        "lesions": drawn & anatomy.brain,
        "white_matter": ((anatomy.white_matter > 0.5) | lesional) & anatomy.brain,
        "grey_matter": (anatomy.grey_matter > 0.5) & anatomy.brain & ~drawn,
        "brain": anatomy.brain,
    }


def _about(person: Person, protocol: dict[str, Any]) -> dict[str, Any]:
    return {
        "simulated": True,
        "phantom": phantom_edition(),
        "disease": person.disease,
        **(
            {"subtype": person.subtype, "grade": person.grade, "enhancement": person.enhancement}
            if person.grade
            else {}
        ),
        "group": "patient" if person.patient else "control",
        "site": person.site,
        "age": person.age,
        "sex": person.sex,
        "seed": int(person.seed),
        "protocol": protocol,
        **({"lesion_mask": Path(person.lesion_mask).name} if person.lesion_mask else {}),
    }


def _peeled(anatomy: Anatomy, rim: int) -> Anatomy:
    """Return the anatomy under a brain mask that is `rim` voxels tighter."""
    if rim == 0:
        return anatomy
    from scipy import ndimage

    return replace(anatomy, brain=ndimage.binary_erosion(anatomy.brain, iterations=rim))


def _rounded(dvr: np.ndarray) -> np.ndarray:
    """Round to 1/8192: far below the noise, small files, and independent of the last digit of the arithmetic."""
    return (np.round(dvr * 8192.0) / 8192.0).astype(np.float32)
