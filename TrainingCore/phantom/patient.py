"""One visit of one digital patient, without files."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, replace

import numpy as np

from ..case import Case
from ..errors import BadInput
from . import lesions as lesions_module
from .anatomy import Anatomy, grow_anatomy
from .lesions import Lesions
from .mri import simulate_mri
from .pet import measure, true_dvr
from .protocols import visit_protocol
from .randomness import stream

SITES = ("A", "B", "R")
# (ours) ages: relapsing MS at site A as in Soulier et al. 2024's kind of cohort, older and more loaded at site B
AGES = {"A": (36.0, 8.0), "B": (47.0, 9.0), "R": (42.0, 12.0)}
LOAD_FACTOR = {"A": 1.0, "B": 1.25, "R": 1.0}  # (ours) multiplies the lesion load


@dataclass(frozen=True)
class Person:
    """Who a digital person is: seed, site, age in years, sex (F | M), patient or healthy control."""

    seed: int
    site: str
    age: int
    sex: str
    patient: bool


def draw_person(person_seed: int, site: str, patient: bool = True) -> Person:
    """Age and sex of a person; MS affects about three women for one man."""
    check_site(site)
    random = stream(person_seed, "person")
    age = int(np.clip(round(random.normal(*AGES[site])), 18, 75))
    return Person(person_seed, site, age, "F" if random.random() < 0.73 else "M", patient)


def check_site(site: str) -> None:
    """Raises BadInput for an unknown site."""
    if site not in SITES:
        raise BadInput(f"Site {site} is unknown. Choose one of {', '.join(SITES)}.")


def check_size(size: int) -> None:
    """Raises BadInput for a size that the networks cannot halve four times."""
    if size < 32 or size % 16 or size > 256:
        raise BadInput(f"Size {size} does not work. Choose a multiple of 16 from 32 to 256, e.g. 128.")


@functools.lru_cache(maxsize=2)
def _body(person: Person, size: int) -> tuple[Anatomy, Lesions]:
    anatomy = grow_anatomy(person.seed, person.site, size, person.age)
    if not person.patient:
        return anatomy, lesions_module.no_lesions(anatomy.shape)
    return anatomy, lesions_module.grow_lesions(anatomy, person.seed, LOAD_FACTOR[person.site])


def anatomy_and_lesions(person: Person, visit: int, size: int) -> tuple[Anatomy, Lesions]:
    """A person's anatomy and the lesions at visit 1, 2, ..."""
    anatomy, lesions = _body(person, size)
    if person.patient:
        for number in range(2, visit + 1):
            lesions = lesions_module.next_visit(lesions, anatomy, person.seed, number)
    return anatomy, lesions


def simulate_visit(
    person_seed: int, visit: int = 1, site: str = "A", size: int = 128, patient: bool = True, label: str = ""
) -> Case:
    """One visit as a Case: raw intensities (arbitrary units), `dvr` measured, `dvr_clean` noise-free, masks.

    person_seed: who; visit: 1, 2, ...; site: A, B or R (every visit its own protocol); size: voxels along each edge of
    the 192 mm cube; patient: False for a healthy control; label: BIDS label of the person, made from the seed if empty.
    Raises BadInput for an unknown site, a bad size or visit, or where nilearn's template is missing.
    """
    check_site(site)
    check_size(size)
    if visit < 1:
        raise BadInput(f"Visit {visit} does not exist. Visits are numbered from 1.")
    person = draw_person(person_seed, site, patient)
    anatomy, lesions = anatomy_and_lesions(person, visit, size)
    protocol = visit_protocol(person_seed, visit, site)
    anatomy = _peeled(anatomy, protocol.rim)
    images = simulate_mri(anatomy, lesions, protocol, person_seed, visit)
    measured, clean, scan = measure(true_dvr(anatomy, lesions, person_seed, patient), anatomy, person_seed, visit, site)
    white = ((anatomy.white_matter > 0.5) | lesions.mask) & anatomy.brain
    grey = (anatomy.grey_matter > 0.5) & anatomy.brain & ~lesions.mask
    volumes = {
        **images,
        "dvr": _rounded(measured),
        "dvr_clean": _rounded(clean),
        "lesions": lesions.mask & anatomy.brain,
        "white_matter": white,
        "grey_matter": grey,
        "brain": anatomy.brain,
    }
    info = {
        "simulated": True,
        "group": "patient" if patient else "control",
        "site": site,
        "age": person.age,
        "sex": person.sex,
        "seed": int(person_seed),
        "protocol": asdict(protocol),
        "pet": scan,
    }
    return Case(label or f"{site}{person_seed}", str(visit), volumes, anatomy.affine, info)


def _peeled(anatomy: Anatomy, rim: int) -> Anatomy:
    """The same anatomy seen through a brain mask that is `rim` voxels tighter."""
    if rim == 0:
        return anatomy
    from scipy import ndimage

    return replace(anatomy, brain=ndimage.binary_erosion(anatomy.brain, iterations=rim))


def _rounded(dvr: np.ndarray) -> np.ndarray:
    """To 1/8192: far below the noise, small files, and no dependence on the last digit of the arithmetic."""
    return (np.round(dvr * 8192.0) / 8192.0).astype(np.float32)
