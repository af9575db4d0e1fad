"""The simulated people of the study: who trains, who chooses the weight, who is tested. Seeds are fixed."""

from __future__ import annotations

from pathlib import Path

from TrainingCore.phantom.bids import DERIVATIVES
from TrainingCore.phantom.edition import phantom_edition
from TrainingCore.runtime.errors import BadInput
from TrainingCore.runtime.files import read_json
from TrainingCore.simulate import simulate

from .protocol import Protocol

PHANTOM = {"edition": 2, "constants": "b52703148e89cd05"}  # frozen before any schedule was compared
TRAIN, CHOICE, TEST = "train_A", "choice_A", "test_B"
SEEDS = {TRAIN: 101, TEST: 102, CHOICE: 103}


def make_cohort(folder: Path, name: str, protocol: Protocol) -> Path:
    """Simulate one of the three cohorts unless it is there; returns its folder.

    Raises BadInput where this software's digital patient, or the one that made the cohort, is not the frozen one.
    """
    if phantom_edition() != PHANTOM:
        raise BadInput(f"The study needs the digital patient {PHANTOM}; this software has {phantom_edition()}.")
    out = folder / "cohorts" / name
    kept = out / DERIVATIVES / "noise_ceiling.json"  # the last thing that `simulate` writes
    if not kept.is_file():
        people, visits, site = {
            TRAIN: (protocol.people, protocol.visits, "A"),
            CHOICE: (protocol.choice_people, 1, "A"),
            TEST: (protocol.test_people, 1, "B"),
        }[name]
        simulate(
            out,
            patients=people,
            visits=visits,
            site=site,
            seed=SEEDS[name],
            size=protocol.simulated_size,
            progress="none",
        )
    made_by = read_json(kept)["phantom"]
    if made_by != PHANTOM:
        raise BadInput(f"{out} was made by the digital patient {made_by}, not {PHANTOM}. Delete it.")
    return out
