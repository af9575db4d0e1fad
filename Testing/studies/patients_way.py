"""Simulated people that go the way of a patient in `synthesize`: options of the studies, and cohorts that are kept."""

from __future__ import annotations

import argparse
from pathlib import Path

from TrainingCore.data.cohort import Cohort
from TrainingCore.phantom.placed_masks import digest_of, list_masks
from TrainingCore.simulate import simulate

MINIMUM_MM3 = 50.0  # Soulier et al. 2024 leave out smaller lesions


def options(doc: str | None, sites: str, people: int, seed: int) -> argparse.ArgumentParser:
    """Options that the studies share, with their own defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demonstration", help="bundle folder, .zip or name")
    parser.add_argument("--work", type=Path, required=True, help="folder in which simulated people are kept")
    parser.add_argument("--sites", default=sites, help="sites of the simulated people")
    parser.add_argument("--people", type=int, default=people, help="of each site")
    parser.add_argument("--size", type=int, default=192, help="voxels along an edge of 192 mm")
    parser.add_argument("--seed", type=int, default=seed)
    return parser


def people_of(site: str, chosen: argparse.Namespace, names: tuple[str, ...], masks: Path | None = None) -> Cohort:
    """The people of a site with these volumes; what WORK lacks of them is simulated; masks: of their lesions."""
    shapes = f"-masks-{digest_of(list_masks(masks))}" if masks else ""
    folder = chosen.work / f"{site}-seed{chosen.seed}-size{chosen.size}-people{chosen.people}{shapes}"
    simulate(
        folder,
        patients=chosen.people,
        visits=1,
        site=site,
        size=chosen.size,
        seed=chosen.seed,
        lesion_masks=masks,
        progress="none",
    )
    return Cohort.read(folder, names)
