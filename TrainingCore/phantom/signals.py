"""Signal equations of the MRI sequences, relative to the equilibrium magnetisation of water."""

from __future__ import annotations

import numpy as np

from .protocols import Sequence
from .tissues import Relaxation


def spoiled_signal(tissue: Relaxation, sequence: Sequence) -> np.ndarray:
    """Compute a spoiled gradient echo (Ernst): M0 sin a (1 - E1) / (1 - E1 cos a) exp(-TE / T2*).

    Args:
        tissue: T1 and T2 in ms, proton density.
        sequence: times in ms, flip in degrees.

    Returns:
        Signal relative to the equilibrium magnetisation of water.
    """
    flip = np.deg2rad(sequence.flip)
    e1 = np.exp(-sequence.repetition / tissue.t1)
    return tissue.density * np.sin(flip) * (1.0 - e1) / (1.0 - e1 * np.cos(flip)) * _t2_star(tissue, sequence)


def mprage_signal(tissue: Relaxation, sequence: Sequence) -> np.ndarray:
    """Compute MPRAGE in its steady state at the centre of k-space (Deichmann et al. 2000), with perfect inversion.

    Args:
        tissue: T1 and T2 in ms, proton density.
        sequence: times in ms, flip in degrees; the inversion time ends at the centre of the readout train, as scanners
            report TI.

    Returns:
        Signal relative to the equilibrium magnetisation of water.
    """
    flip, spacing = np.deg2rad(sequence.flip), 2.0 * sequence.echo + 3.0
    half = min(sequence.train / 2.0, 0.9 * sequence.inversion / spacing)
    before = sequence.inversion - half * spacing
    after = max(sequence.repetition - sequence.inversion - half * spacing, 0.0)
    e_pulse = np.exp(-spacing / tissue.t1)
    driven = (1.0 - e_pulse) / (1.0 - e_pulse * np.cos(flip))
    kept = (e_pulse * np.cos(flip)) ** half
    e_before, e_after = np.exp(-before / tissue.t1), np.exp(-after / tissue.t1)
    # m before the pulse -> 1 - (1 + m) e_before -> towards `driven`, twice half a train -> recovery: solve m = a - b m
    a = 1.0 - e_after + e_after * (driven * (1.0 - kept**2) + kept**2 * (1.0 - e_before))
    steady = a / (1.0 + e_after * kept**2 * e_before)
    start = 1.0 - (1.0 + steady) * e_before
    centre = driven + (start - driven) * kept
    return tissue.density * np.abs(centre) * np.sin(flip) * _t2_star(tissue, sequence)


def spin_echo_signal(tissue: Relaxation, sequence: Sequence) -> np.ndarray:
    """Compute a spin echo: M0 (1 - exp(-TR / T1)) exp(-TE / T2).

    Args:
        tissue: T1 and T2 in ms, proton density.
        sequence: times in ms.

    Returns:
        Signal relative to the equilibrium magnetisation of water.
    """
    return tissue.density * (1.0 - np.exp(-sequence.repetition / tissue.t1)) * np.exp(-sequence.echo / tissue.t2)


def flair_signal(tissue: Relaxation, sequence: Sequence) -> np.ndarray:
    """Compute FLAIR (inversion-recovery TSE, magnitude): M0 |1 - 2 exp(-TI / T1) + exp(-TR / T1)| exp(-TE / T2).

    Args:
        tissue: T1 and T2 in ms, proton density.
        sequence: times in ms.

    Returns:
        Signal relative to the equilibrium magnetisation of water.
    """
    recovered = 1.0 - 2.0 * np.exp(-sequence.inversion / tissue.t1) + np.exp(-sequence.repetition / tissue.t1)
    return tissue.density * np.abs(recovered) * np.exp(-sequence.echo / tissue.t2)


def _t2_star(tissue: Relaxation, sequence: Sequence) -> np.ndarray:
    return np.exp(-sequence.echo / (0.65 * tissue.t2))  # (ours) T2* about two thirds of T2


SIGNALS = {"mprage": mprage_signal, "spoiled": spoiled_signal, "spin_echo": spin_echo_signal, "flair": flair_signal}
