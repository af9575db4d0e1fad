"""MRI contrasts of the simulated patient: weighted images; maps are in microstructure.py."""

from __future__ import annotations

from collections.abc import Sequence as Many

import numpy as np

from ..data.case import MRI, QUANTITATIVE
from .acquisition import acquire
from .anatomy import Anatomy
from .gadolinium import DOSES, enhanced, uptake
from .lesions import Lesions
from .lookalikes import LookAlikes, with_ghost
from .microstructure import simulate_maps
from .protocols import Protocol
from .randomness import stream
from .signals import SIGNALS
from .tissues import Scene, fractions, mix, relaxation
from .tumours import Tumour


def simulate_mri(
    anatomy: Anatomy,
    lesions: Lesions,
    protocol: Protocol,
    person_seed: int,
    visit: int,
    contrasts: Many[str] = MRI,
    tumour: Tumour | None = None,
) -> dict[str, np.ndarray]:
    """Simulate MRI contrasts.

    Args:
        anatomy: of the person.
        lesions: of the visit.
        protocol: of the visit.
        person_seed: seed of the person.
        visit: number of the visit, from 1.
        contrasts: names of case.ALL_MRI.
        tumour: glioma, or None.

    Returns:
        float32 (n, n, n) by name, exactly 0 outside the brain. Weighted images have arbitrary units, white matter about
        1000; for maps see microstructure.simulate_maps.
    """
    return render(make_scene(anatomy, lesions, protocol, person_seed, visit, tumour), contrasts)


def make_scene(
    anatomy: Anatomy,
    lesions: Lesions,
    protocol: Protocol,
    person_seed: int,
    visit: int,
    tumour: Tumour | None = None,
    artefacts: LookAlikes | None = None,
) -> Scene:
    """Combine a brain and a scanner, with the relaxation of the tissues.

    Args:
        anatomy: of the person.
        lesions: of the visit.
        protocol: of the visit.
        person_seed: seed of the person.
        visit: number of the visit, from 1.
        tumour: glioma, or None.
        artefacts: of the visit, None for none.
    """
    shares = fractions(anatomy, tumour, lesions)
    tissues = relaxation(anatomy, lesions, protocol, person_seed, visit, tumour)
    return Scene(anatomy, lesions, tumour, protocol, person_seed, visit, shares, tissues, artefacts or LookAlikes())


def render(scene: Scene, contrasts: Many[str]) -> dict[str, np.ndarray]:
    """Simulate the contrasts of a scene.

    Args:
        scene: brain and scanner.
        contrasts: names of case.ALL_MRI.

    Returns:
        See `simulate_mri`.
    """
    images = {name: _weighted(scene, name) for name in contrasts if name not in QUANTITATIVE}
    maps = [name for name in contrasts if name in QUANTITATIVE]
    images.update(simulate_maps(scene, maps))
    return {name: images[name] for name in contrasts}


def _weighted(scene: Scene, name: str) -> np.ndarray:
    sequence = getattr(scene.protocol, name)
    random = stream(scene.person_seed, "acquire", name, scene.visit)
    signal = {tissue: SIGNALS[sequence.kind](values, sequence) for tissue, values in scene.tissues.items()}
    reference = float(np.median(signal["white"]))
    coil = None
    if name in DOSES:  # the gain and the coil of the T1w before the injection
        taken_up = uptake(scene.anatomy, scene.lesions, scene.tumour, scene.person_seed, scene.visit)
        for tissue, values in scene.tissues.items():
            with_agent = enhanced(values, DOSES[name] * taken_up[tissue])
            signal[tissue] = SIGNALS[sequence.kind](with_agent, sequence)
        coil = stream(scene.person_seed, "acquire", "t1w", scene.visit)
    mixed = mix(scene, signal, reference)
    if name == "flair" and scene.artefacts.flow is not None:
        mixed += scene.artefacts.flow
    mixed = with_ghost(mixed, (scene.artefacts.ghosts or {}).get(name))
    return acquire(mixed, scene.anatomy, sequence, random, coil)
