"""What is asked of a simulated cohort: contrasts, people, masks, scanners; checked before anything is simulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data.case import ALL_MRI
from ..runtime.errors import BadInput
from .patient import check_phantom_size
from .people import DEFAULT_CONTRASTS, Person, check_disease, check_simulated_contrasts, check_site
from .placed_masks import choose_mask, digest_of, list_masks
from .template import template_folder


def choose_contrasts(names: str | None, disease: str) -> list[str]:
    """Choose the contrasts to simulate.

    Args:
        names: comma-separated list, or None for the default of the disease.
        disease: ms, wmh or glioma.

    Returns:
        Names in a fixed order, always with t1w.

    Raises:
        BadInput: the disease or a contrast is unknown, or not modelled.
    """
    check_disease(disease)
    chosen = DEFAULT_CONTRASTS[disease]
    if names is not None:
        chosen = tuple(name.strip().lower() for name in names.split(",") if name.strip())
        check_simulated_contrasts(chosen, disease)
    return [name for name in (*ALL_MRI, "dvr") if name == "t1w" or name in chosen]


def check_people(patients: int, controls: int, visits: int, workers: int) -> None:
    """Check the numbers of people, visits and processes.

    Args:
        patients: number of patients.
        controls: number of healthy controls.
        visits: visits per person.
        workers: parallel processes.

    Raises:
        BadInput: a number is too small.
    """
    if patients < 0 or controls < 0:
        raise BadInput("The number of people cannot be negative. Give --patients and --controls of 0 or more.")
    if patients + controls == 0:
        raise BadInput("There are no people to simulate. Give --patients or --controls of 1 or more.")
    if visits < 1:
        raise BadInput(f"{visits} visits cannot be simulated. Give --visits of 1 or more.")
    if workers < 1:
        raise BadInput(f"The number of workers is {workers}. Give --workers of 1 or more.")


def check_simulation(site: str, seed: int, size: int) -> None:
    """Check sites, seed and size, and that the template is installed.

    Args:
        site: one letter per site.
        seed: random seed.
        size: voxels along each axis.

    Raises:
        BadInput: a value is invalid, or the template is missing.
    """
    if seed < 0:
        raise BadInput(f"Seed {seed} is negative. Give --seed of 0 or more.")
    for letter in site or " ":
        check_site(letter)
    if len(set(site)) < len(site):
        raise BadInput(f"--site {site} contains a site twice. Give each site once.")
    check_phantom_size(size)
    template_folder()


def with_choices(
    people: list[tuple[str, Person]], settings: dict[str, Any], lesion_masks: Path | None, lookalikes: str | None
) -> list[tuple[str, Person]]:
    """Apply --lesion-masks and --lookalikes to the people.

    Args:
        people: BIDS label and person.
        settings: settings of the simulation; both choices are added to them.
        lesion_masks: folder of real masks, one per patient, or None.
        lookalikes: yes, no, or None for the default of the site.

    Returns:
        The changed people.

    Raises:
        BadInput: a value is invalid, or the folder holds no masks.
    """
    if lookalikes is not None:
        if lookalikes not in ("yes", "no"):
            raise BadInput(f"--lookalikes must be yes or no, not {lookalikes}.")
        settings["lookalikes"] = lookalikes
        people = [(label, replace(person, lookalikes=lookalikes == "yes")) for label, person in people]
    if lesion_masks is None:
        return people
    if settings["disease"] != "ms":
        raise BadInput("--lesion-masks needs --disease ms, because the masks are of MS lesions. Leave one of them out.")
    paths = list_masks(lesion_masks)
    settings["lesion_masks"] = digest_of(paths)
    return [
        (
            label,
            replace(person, lesion_mask=str(choose_mask(paths, person.seed).resolve())) if person.patient else person,
        )
        for label, person in people
    ]


def with_rescans(
    people: list[tuple[str, Person]], settings: dict[str, Any], scanners: str, without_change: bool
) -> list[tuple[str, Person]]:
    """Apply --scanners and --without-change to the people.

    Args:
        people: BIDS label and person.
        settings: settings of the simulation; both choices are added to them.
        scanners: sites whose scanners successive visits use in turn; empty for the scanner of the site.
        without_change: whether all visits show the brain of the first one.

    Returns:
        The changed people.

    Raises:
        BadInput: a site is unknown.
    """
    for letter in scanners:
        check_site(letter)
    if scanners:
        settings["scanners"] = scanners
    if without_change:
        settings["without_change"] = True
    return [(label, replace(person, scanners=scanners, changes=not without_change)) for label, person in people]
