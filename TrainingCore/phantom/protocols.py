"""Scan protocol of each site: sequences, their timing, resolution, noise and bias; and the randomised site R."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .randomness import stream


@dataclass(frozen=True)
class Sequence:
    """One MRI acquisition.

    Attributes:
        kind: mprage | spoiled | spin_echo | flair | diffusion.
        repetition: ms.
        echo: ms.
        inversion: ms.
        flip: degrees.
        thickness: mm along `slice_axis` (0 R-L, 1 P-A, 2 I-S).
        in_plane: mm.
        noise: SD as a share of the white-matter signal.
        bias: relative SD of the receive field.
        shift: mm by which the patient moved before this sequence.
        train: readouts (mprage).
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


# (ours) common clinical protocols at 3 T; the diffusion noise is that of a map fitted to about 30 directions
T1W = Sequence("mprage", 2300.0, 2.98, 900.0, 9.0, 1.0, 0, 1.0, 0.015, 0.06)
MAX_SHIFT_MM = 1.0
T2W = Sequence("spin_echo", 5000.0, 95.0, noise=0.025, bias=0.07)
MT = Sequence("spoiled", 35.0, 5.0, flip=8.0, thickness=1.6, in_plane=1.4, noise=0.022, bias=0.0)
DWI = Sequence("diffusion", 8000.0, 85.0, thickness=2.0, in_plane=2.0, noise=0.022, bias=0.0)


@dataclass(frozen=True)
class Protocol:
    """MRI protocol of one visit.

    Attributes:
        field_strength: tesla.
        jitter: relative SD of the tissue values.
        rim: voxels peeled off the brain mask, as a tight brain extraction does.
        mt: sequence of the pair of images, with and without saturation, behind the MTR map.
        dwi: sequence of the images behind FA, RD, AD and ADC.
        t1ce_low: T1w after a quarter of the gadolinium.
        t1ce: T1w after the full dose.
    """

    field_strength: float
    jitter: float
    t1w: Sequence
    flair: Sequence
    rim: int = 0  # voxels peeled off the brain mask, as a tight brain extraction does
    t2w: Sequence = T2W
    mt: Sequence = MT
    dwi: Sequence = DWI
    t1ce_low: Sequence = T1W
    t1ce: Sequence = T1W


def visit_protocol(person_seed: int, visit: int, site: str) -> Protocol:
    """Draw the protocol of a visit. Sites A, B and C are fixed except for small drifts; R draws everything at random.

    A, B and C resemble the three scanners of the WMH challenge (Kuijf et al. 2019): 3D FLAIR at Amsterdam, 3 mm slices
    at Utrecht and at Singapore, each with its own TR, TE and TI.

    Args:
        person_seed: seed of the person.
        visit: number of the visit, from 1.
        site: A, B, C or R.
    """
    random = stream(person_seed, "protocol", visit)
    if site == "R":
        basic = _randomised(random)
    else:
        small = float(random.uniform(0.9, 1.1))
        shift = _shift(random, 0.3)
        basic = _fixed(site, small, shift)
    return _with_more_contrasts(basic, site, stream(person_seed, "protocol, more contrasts", visit))


def _shift(random: np.random.Generator, spread: float) -> tuple[float, float, float]:
    """Draw the misregistration of FLAIR and T1w: `spread` mm SD along each axis, MAX_SHIFT_MM at most (ours)."""
    values = random.normal(0.0, spread, 3)
    return _three(values * min(1.0, MAX_SHIFT_MM / max(float(np.linalg.norm(values)), 1e-6)))


def _three(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _fixed(site: str, small: float, shift: tuple[float, float, float]) -> Protocol:
    if site == "A":
        return Protocol(
            3.0,
            0.02,
            replace(T1W, noise=0.015 * small),
            Sequence("flair", 8000.0, 130.0, 2350.0, 90.0, 1.2, 0, 1.1, 0.025 * small, 0.07, shift),
        )
    if site == "B":
        return Protocol(
            3.0,
            0.02,
            Sequence("spoiled", 25.0, 4.6, 0.0, 30.0, 1.2, 2, 1.0, 0.020 * small, 0.10),
            Sequence("flair", 11000.0, 100.0, 2800.0, 90.0, 3.0, 2, 1.0, 0.025 * small, 0.10, shift),
        )
    return Protocol(
        3.0,
        0.02,
        Sequence("mprage", 2300.0, 1.9, 900.0, 9.0, 1.0, 0, 1.0, 0.022 * small, 0.14),
        Sequence("flair", 9000.0, 82.0, 2500.0, 90.0, 3.0, 2, 1.0, 0.035 * small, 0.12, shift),
    )


def _with_more_contrasts(basic: Protocol, site: str, random: np.random.Generator) -> Protocol:
    """Add the other sequences, drawn separately so that T1w and FLAIR do not depend on the requested contrasts."""
    spread = 0.3 if site == "R" else 0.1

    def shift() -> tuple[float, float, float]:
        return _three(random.uniform(-spread, spread, 3))

    def varied(sequence: Sequence) -> Sequence:
        noise = sequence.noise * float(random.uniform(0.6, 1.8) if site == "R" else random.uniform(0.9, 1.1))
        return replace(sequence, noise=noise, shift=shift())

    t2w, mt, dwi = varied(T2W), varied(MT), varied(DWI)
    if site == "R":
        timing: dict[str, Any] = {
            "repetition": float(random.uniform(3000, 7000)),
            "echo": float(random.uniform(75, 120)),
        }
        t2w = replace(t2w, **timing, **_resolution(random), bias=float(random.uniform(0.0, 0.22)))
        mt = replace(mt, flip=float(random.uniform(5, 12)), in_plane=float(random.uniform(1.0, 2.0)))
        voxel = float(random.uniform(1.7, 2.5))
        dwi = replace(dwi, thickness=voxel, in_plane=voxel)
    elif site == "B":
        t2w = replace(t2w, repetition=3800.0, echo=85.0, thickness=3.0)
    elif site == "C":
        t2w = replace(t2w, repetition=4300.0, echo=102.0, thickness=3.0)
    low, full = (replace(basic.t1w, shift=shift()) for _ in range(2))
    return replace(basic, t2w=t2w, mt=mt, dwi=dwi, t1ce_low=low, t1ce=full)


def _randomised(random: np.random.Generator) -> Protocol:
    field_strength = float(random.choice([1.5, 3.0, random.uniform(1.5, 3.0)]))
    kind = str(random.choice(["mprage", "spoiled", "spin_echo"], p=[0.5, 0.25, 0.25]))
    timing: dict[str, Any]
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
    shift = _shift(random, 0.45)
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


def _resolution(random: np.random.Generator) -> dict[str, Any]:
    thick = random.uniform(1.0, 1.6) if random.random() < 0.4 else random.uniform(1.6, 5.0)
    return {
        "thickness": float(thick),
        "slice_axis": int(random.choice([0, 1, 2], p=[0.25, 0.25, 0.5])),
        "in_plane": float(random.uniform(0.7, 1.9)),
    }
