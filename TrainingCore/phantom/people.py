"""Simulated people: disease, site, age, sex; and checks of requested cohorts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data.case import ALL_MRI
from ..runtime.errors import BadInput
from .randomness import stream

SITES = ("A", "B", "C", "R")
DISEASE_NAMES = {"ms": "multiple sclerosis", "wmh": "small-vessel disease", "glioma": "glioma"}
DISEASES = tuple(DISEASE_NAMES)
# What each system's cohort needs: Soulier et al. 2024; Orbes-Arteaga et al. 2018; Genc et al. 2022 and Bone et al. 2021
DEFAULT_CONTRASTS = {
    "ms": ("t1w", "flair", "dvr"),
    "wmh": ("t1w", "flair"),
    "glioma": ("t1w", "flair", "t2w", "adc", "t1ce_low", "t1ce"),
}
# (ours) ages: relapsing MS at site A as in Soulier et al. 2024's kind of cohort, older and more loaded at site B
AGES = {"A": (36.0, 8.0), "B": (47.0, 9.0), "C": (41.0, 10.0), "R": (42.0, 12.0)}
# Multiply load and number of MS lesions. B: 12 lesions of 50 mm3 or more per person (Soulier et al. 2024: 528 in 44)
LOAD_FACTOR = {"A": 1.0, "B": 0.8, "C": 1.0, "R": 1.0}
COUNT_FACTOR = {"A": 1.0, "B": 0.38, "C": 1.0, "R": 1.0}


WMH_AGE = (69.0, 8.0)  # (ours) near the memory-clinic patients of the WMH challenge


class Glioma(NamedTuple):
    """A kind of glioma: share of a cohort, share that enhances, mean age in years."""

    subtype: str
    grade: int
    share: float
    enhancing: float
    age: float


# Kinds as in the WHO classification of 2021. Shares, enhancement and ages are ours; lower grades are commoner than in a
# surgical cohort (UCSF-PDGM, Calabrese et al. 2022: four in five are grade 4), so that a small cohort has every stratum
GLIOMAS = (
    Glioma("glioblastoma", 4, 0.45, 0.95, 61.0),
    Glioma("astrocytoma", 2, 0.12, 0.10, 37.0),
    Glioma("astrocytoma", 3, 0.10, 0.45, 40.0),
    Glioma("astrocytoma", 4, 0.07, 0.90, 43.0),
    Glioma("oligodendroglioma", 2, 0.14, 0.20, 42.0),
    Glioma("oligodendroglioma", 3, 0.12, 0.60, 48.0),
)
SUBTYPE_LEVELS = {
    "glioblastoma": "glioblastoma, IDH-wildtype",
    "astrocytoma": "astrocytoma, IDH-mutant",
    "oligodendroglioma": "oligodendroglioma, IDH-mutant and 1p/19q-codeleted",
}


@dataclass(frozen=True)
class Person:
    """A simulated person.

    Attributes:
        seed: determines everything random about the person.
        site: A, B, C or R.
        age: years at the first visit.
        sex: F or M.
        patient: whether the person is a patient or a healthy control.
        disease: ms, wmh or glioma; of a control: the disease of the cohort.
        subtype: of a glioma.
        grade: of a glioma, WHO 2 to 4.
        enhancement: of a glioma: yes or no.
        lookalikes: whether structures that mimic lesions are added, see lookalikes.py.
        lesion_mask: path of a real mask whose lesions the person has, see placed_masks.py.
        changes: False if every visit shows the brain of the first one, as in scan-rescan studies.
        scanners: sites whose scanners the visits use in turn (empty: that of `site`).
    """

    seed: int
    site: str
    age: int
    sex: str
    patient: bool
    disease: str = "ms"
    subtype: str = ""
    grade: int = 0
    enhancement: str = ""
    lookalikes: bool = False
    lesion_mask: str = ""
    changes: bool = True
    scanners: str = ""

    def scanner(self, visit: int) -> str:
        """Return the site of the scanner of a visit.

        Args:
            visit: number of the visit, from 1.
        """
        return self.scanners[(visit - 1) % len(self.scanners)] if self.scanners else self.site


def draw_person(
    person_seed: int, site: str, patient: bool = True, disease: str = "ms", lookalikes: bool | None = None
) -> Person:
    """Draw age and sex of a person, and the kind of glioma; MS affects about three women for one man.

    Args:
        person_seed: seed of the person.
        site: A, B, C or R.
        patient: False for a healthy control.
        disease: ms, wmh or glioma.
        lookalikes: whether to add structures that mimic lesions; None: only at site R.
    """
    check_site(site)
    random = stream(person_seed, "person")
    mean, spread = AGES[site]
    women, youngest, oldest = 0.73, 18, 75
    kind: tuple[str, int, str] = ("", 0, "")
    if disease == "wmh":
        mean, spread, women, youngest, oldest = *WMH_AGE, 0.5, 50, 90
    elif disease == "glioma":
        glioma, enhancement = _draw_glioma(stream(person_seed, "glioma"))
        mean, spread, women, youngest, oldest = glioma.age, 10.0, 0.42, 20, 85
        kind = (glioma.subtype, glioma.grade, enhancement) if patient else kind
    age = int(np.clip(round(random.normal(mean, spread)), youngest, oldest))
    sex = "F" if random.random() < women else "M"
    if lookalikes is None:
        lookalikes = site == "R"
    return Person(person_seed, site, age, sex, patient, disease, *kind, lookalikes=lookalikes)


def _draw_glioma(random: np.random.Generator) -> tuple[Glioma, str]:
    shares = np.array([glioma.share for glioma in GLIOMAS])
    glioma = GLIOMAS[int(random.choice(len(GLIOMAS), p=shares / shares.sum()))]
    return glioma, "yes" if random.random() < glioma.enhancing else "no"


def check_site(site: str) -> None:
    """Check a site.

    Args:
        site: A, B, C or R.

    Raises:
        BadInput: unknown site.
    """
    if site not in SITES:
        raise BadInput(f"Site {site} is unknown. Choose one of {', '.join(SITES)}.")


def check_disease(disease: str) -> None:
    """Check a disease.

    Args:
        disease: ms, wmh or glioma.

    Raises:
        BadInput: unknown disease.
    """
    if disease not in DISEASES:
        raise BadInput(f"Disease {disease} is unknown. Choose one of {', '.join(DISEASES)}.")


def check_simulated_contrasts(contrasts: Iterable[str], disease: str) -> None:
    """Check the contrasts of a simulation.

    Args:
        contrasts: names of case.ALL_MRI, and `dvr`.
        disease: ms, wmh or glioma.

    Raises:
        BadInput: a contrast is unknown, or not modelled in this disease.
    """
    known = (*ALL_MRI, "dvr")
    for name in contrasts:
        if name not in known:
            raise BadInput(f"Contrast {name} is unknown. Choose from {', '.join(known)}.")
    if disease == "glioma" and "dvr" in contrasts:
        raise BadInput(
            "The effect of a glioma on [11C]PiB is not modelled. Leave dvr out, or choose --disease ms or wmh."
        )


def draw_people(sites: str, seed: int, patients: int, controls: int, disease: str = "ms") -> list[tuple[str, Person]]:
    """Draw the people of a cohort; a larger cohort with the same seed starts with the same people.

    Args:
        sites: one letter per site; people are assigned to the sites in turn.
        seed: random seed.
        patients: number of patients.
        controls: number of healthy controls.
        disease: ms, wmh or glioma.

    Returns:
        (BIDS label, Person) of every patient, then of every control.
    """
    people = []
    for kind, count, letters in (("patient", patients, ""), ("control", controls, "HC")):
        for index in range(count):
            site, number = sites[index % len(sites)], index // len(sites) + 1
            person_seed = int(stream(seed, site, kind, number).integers(2**31))
            person = draw_person(person_seed, site, kind == "patient", disease)
            people.append((f"{site}{letters}{number:02d}", person))
    return people
