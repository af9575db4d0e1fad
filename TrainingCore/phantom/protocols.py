"""How each site scans: sequence families, their timing, resolution, noise and bias; and the randomised site R."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .randomness import stream


@dataclass(frozen=True)
class Sequence:
    """One MRI acquisition.

    kind: mprage | spoiled | spin_echo | flair; times in ms, flip in degrees; thickness: mm along `slice_axis`
    (0 R-L, 1 P-A, 2 I-S); in_plane: mm; noise: SD as a share of the white-matter signal; bias: relative SD of the
    receive field; shift: mm by which the patient moved before this sequence; train: readouts (mprage).
    """

    kind: str
    repetition: float
    echo: float
    inversion: float = 0.0
    flip: float = 90.0
    thickness: float = 1.0
    slice_axis: int = 2
    in_plane: float = 1.0
    noise: float = 0.02
    bias: float = 0.08
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    train: int = 170


@dataclass(frozen=True)
class Protocol:
    """What one visit's MRI looks like: field strength (tesla), tissue jitter (relative SD), T1w and FLAIR."""

    field_strength: float
    jitter: float
    t1w: Sequence
    flair: Sequence
    rim: int = 0  # voxels peeled off the brain mask, as a tight brain extraction does


def visit_protocol(person_seed: int, visit: int, site: str) -> Protocol:
    """The protocol of a visit. Sites A and B are fixed but for small drifts; R draws everything anew."""
    random = stream(person_seed, "protocol", visit)
    if site == "R":
        return _randomised(random)
    small = float(random.uniform(0.9, 1.1))
    shift = tuple(float(x) for x in random.normal(0.0, 0.1, 3))
    if site == "A":
        return Protocol(
            3.0,
            0.02,
            Sequence("mprage", 2300.0, 2.98, 900.0, 9.0, 1.0, 0, 1.0, 0.015 * small, 0.06),
            Sequence("flair", 8000.0, 130.0, 2350.0, 90.0, 1.2, 0, 1.1, 0.025 * small, 0.07, shift),
        )
    return Protocol(
        3.0,
        0.02,
        Sequence("spoiled", 25.0, 4.6, 0.0, 30.0, 1.2, 2, 1.0, 0.020 * small, 0.10),
        Sequence("flair", 11000.0, 100.0, 2800.0, 90.0, 3.0, 2, 1.0, 0.025 * small, 0.10, shift),
    )


def _randomised(random: np.random.Generator) -> Protocol:
    field_strength = float(random.choice([1.5, 3.0, random.uniform(1.5, 3.0)]))
    kind = str(random.choice(["mprage", "spoiled", "spin_echo"], p=[0.5, 0.25, 0.25]))
    if kind == "mprage":
        timing = {
            "repetition": random.uniform(1600, 2600),
            "echo": random.uniform(2, 5),
            "inversion": random.uniform(650, 1150),
            "flip": random.uniform(7, 13),
            "train": int(random.uniform(120, 200)),
        }
    elif kind == "spoiled":
        timing = {"repetition": random.uniform(8, 35), "echo": random.uniform(2, 8)}
        timing["flip"] = random.uniform(1.0, 1.6) * (8.0 + 0.6 * timing["repetition"])
    else:
        timing = {"repetition": random.uniform(400, 900), "echo": random.uniform(7, 18)}
    t1w = Sequence(
        kind, **timing, **_resolution(random), noise=random.uniform(0.005, 0.045), bias=random.uniform(0.0, 0.22)
    )
    repetition = random.uniform(6000, 11500)
    null = np.log(2.0 / (1.0 + np.exp(-repetition / 4300.0))) * 4300.0  # the TI that nulls cerebrospinal fluid
    shift = tuple(float(x) for x in random.uniform(-0.3, 0.3, 3))
    flair = Sequence(
        "flair",
        repetition,
        random.uniform(80, 150),
        float(null * random.uniform(0.88, 1.06)),
        **_resolution(random),
        noise=random.uniform(0.008, 0.055),
        bias=random.uniform(0.0, 0.22),
        shift=shift,
    )
    return Protocol(field_strength, float(random.uniform(0.02, 0.09)), t1w, flair, int(random.random() < 0.4))


def _resolution(random: np.random.Generator) -> dict[str, float | int]:
    thick = random.uniform(1.0, 1.6) if random.random() < 0.4 else random.uniform(1.6, 5.0)
    return {
        "thickness": float(thick),
        "slice_axis": int(random.choice([0, 1, 2], p=[0.25, 0.25, 0.5])),
        "in_plane": float(random.uniform(0.7, 1.9)),
    }
