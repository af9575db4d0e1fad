"""Simulated people drawn during training: an unlimited cohort without files.

Person number i depends only on the seed, so a resumed run sees the same people as an uninterrupted one, with any number
of worker processes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.case import ALL_MRI, Case
from ..data.recipe import grid_shape, grid_spacing
from ..imaging.grid import brain_grid
from ..imaging.preparation import prepare_case
from ..imaging.volumes import Volume
from ..systems.registry import entry_of

SIZES = tuple(range(32, 257, 16))  # voxels along 192 mm that the digital patient can have
FIELD_OF_VIEW_MM = 192.0
NOT_LEARNT = ("dvr_clean", "myelin_loss", "tumour")  # ground truth that training does not use


@dataclass(frozen=True)
class OnTheFly:
    """Settings of `train --simulate`: letters of the sites, used in turn, the seed, and real lesion masks, if any."""

    sites: str = "R"
    seed: int = 1
    lesion_masks: tuple[Path, ...] = ()

    def people(self, recipe: dict[str, Any], purpose: str) -> SimulatedPeople:
        """Simulated people for one purpose.

        Args:
            recipe: defines grid, intensities and contrasts.
            purpose: `training` or `validation`; only training people may have a noise-free DVR.

        Returns:
            The people, who are simulated when asked for by number.
        """
        noise_free = purpose == "training" and recipe["simulated"]["noise_free"]
        masks = masks_for(self.lesion_masks, purpose, self.seed)
        return SimulatedPeople(self.sites, self.seed, purpose, recipe, noise_free, masks)

    def validation(self, recipe: dict[str, Any]) -> SimulatedVisits:
        """Simulated validation people, as many as set in the recipe.

        Args:
            recipe: its `data.validation_people` is their number.

        Returns:
            Their visits, kept in memory once simulated.
        """
        return SimulatedVisits(self.people(recipe, "validation"), recipe["data"]["validation_people"])


def masks_for(masks: Sequence[Path], purpose: str, seed: int) -> tuple[Path, ...]:
    """Divide real lesion masks between training and validation people, who would otherwise share a person's lesions.

    Args:
        masks: files.
        purpose: training, or validation, which gets a fifth of them (ours), at least one.
        seed: of the division.

    Returns:
        Those for the purpose; a single mask serves both.
    """
    if len(masks) < 2:
        return tuple(masks)
    order = np.random.default_rng([seed, 75]).permutation(len(masks)).tolist()
    held_out = {order[index] for index in range(max(round(len(masks) / 5), 1))}
    return tuple(mask for index, mask in enumerate(masks) if (index in held_out) == (purpose == "validation"))


@dataclass(frozen=True)
class SimulatedPeople:
    """The people of one purpose, by number.

    >>> people = SimulatedPeople("RA", 1, "training", recipe)
    >>> people.case(0).person                                                            # doctest: +SKIP
    'R0'

    Attributes:
        sites: letters of the simulated sites (A, B, C, R), used in turn; a repeated letter gets more people.
        seed: random seed.
        purpose: `training` or `validation`; their people differ.
        recipe: defines grid, intensities and contrasts.
        noise_free: whether the noise-free DVR replaces the measured one.
        lesion_masks: real lesion masks in MNI space; at every site, every second person gets the lesions of one.
    """

    sites: str
    seed: int
    purpose: str
    recipe: dict[str, Any]
    noise_free: bool = False
    lesion_masks: tuple[Path, ...] = ()

    def label(self, number: int) -> str:
        """Name of a person, e.g. `R12`: letter of the site and number.

        Args:
            number: number of the person, from 0.

        Returns:
            The name.
        """
        return f"{self.sites[number % len(self.sites)]}{number}"

    def case(self, number: int) -> Case:
        """Simulate the first visit of a person and prepare it for the recipe's network.

        Args:
            number: number of the person, from 0.

        Returns:
            The visit, on the grid and with the intensity rule of the recipe.
        """
        from ..phantom.patient import simulate_case
        from ..phantom.randomness import stream

        site = self.sites[number % len(self.sites)]
        person_seed = int(stream(self.seed, "on the fly", self.purpose, site, number).integers(2**62))
        spacing, disease = FIELD_OF_VIEW_MM / self._size(), disease_of(self.recipe)
        mask = self._lesion_mask(number, person_seed)
        raw = simulate_case(person_seed, site, spacing, disease=disease, contrasts=self.contrasts, lesion_mask=mask)
        return _prepare(raw, self.recipe, self.label(number), self.noise_free)

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Contrasts to simulate: inputs, target, and the T1w that every visit has."""
        data = self.recipe["data"]
        return tuple(name for name in (*ALL_MRI, "dvr") if name in ("t1w", *data["inputs"], data["target"]))

    def _lesion_mask(self, number: int, person_seed: int) -> str:
        """File of the real lesion mask of a person; empty for drawn lesions."""
        from ..phantom.placed_masks import choose_mask

        drawn = not self.lesion_masks or number // len(self.sites) % 2 == 0
        return "" if drawn else str(choose_mask(list(self.lesion_masks), person_seed))

    def _size(self) -> int:
        """Voxels along 192 mm that are no coarser than the recipe's, where the simulated patient can be so fine."""
        spacing = FIELD_OF_VIEW_MM / grid_spacing(self.recipe)
        return next((size for size in SIZES if size >= spacing - 1e-6), SIZES[-1])


def disease_of(recipe: dict[str, Any]) -> str:
    """Look up the disease that a recipe's system is for.

    Args:
        recipe: a complete recipe.

    Returns:
        ms, wmh or glioma.
    """
    return entry_of(recipe["system"]).disease


def _prepare(raw: Case, recipe: dict[str, Any], label: str, noise_free: bool) -> Case:
    """Prepare a simulated visit with the recipe's grid and intensity rule, as if it had been read from files."""
    grid = brain_grid(raw.volumes["brain"], raw.affine, grid_shape(recipe), grid_spacing(recipe))
    volumes = {name: Volume(array, raw.affine, name) for name, array in raw.volumes.items() if name not in NOT_LEARNT}
    if noise_free and "dvr_clean" in raw.volumes:
        volumes["dvr"] = Volume(raw.volumes["dvr_clean"], raw.affine, "dvr")
    case = prepare_case(volumes, grid, recipe["data"]["intensity"], label, raw.visit)
    case.info.update(raw.info)
    return case


class SimulatedVisits:
    """A fixed number of simulated visits in memory, for validation."""

    def __init__(self, people: SimulatedPeople, count: int) -> None:
        self.people, self.count = people, count
        self._visit = functools.lru_cache(maxsize=None)(people.case)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Case:
        return self._visit(index)
