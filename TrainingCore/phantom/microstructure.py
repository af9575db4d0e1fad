"""Maps of microstructure: magnetisation transfer ratio and diffusion, from simulated measurements and their noise.

The effect of myelin loss on each map is our reading of the literature: MTR falls with myelin and, less, with axons
(Schmierer et al. 2004, post mortem), radial diffusivity rises with demyelination while axial diffusivity stays (Song et
al. 2002, 2005). Because of water and a random variation of every lesion, none of the maps reveals myelin alone.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from typing import Any, NamedTuple

import numpy as np

from .acquisition import acquire_together
from .anatomy import Anatomy
from .randomness import random_field, stream
from .signals import spoiled_signal
from .tissues import Scene, mix
from .tracts import tract_anisotropy

# (ours) percent, as a pulse of medium strength gives at 3 T; only their order is the same on every scanner
MT_RATIO = {"white": 38.0, "grey": 30.0, "fluid": 2.0}
# Mean diffusivity in um2/ms: Pierpaoli et al. 1996 (white 0.70-0.75, cortex 0.83, fluid 3.2)
MEAN_DIFFUSIVITY = {"white": 0.72, "grey": 0.83, "fluid": 3.1}
GREY_ANISOTROPY = 0.13  # (ours) of cortex; Pierpaoli et al. 1996 measure 0.1-0.2
B_VALUE = 1.0  # ms/um2, that is 1000 s/mm2
LESION_SPREAD = 0.07  # (ours) relative SD of every lesion's own variation
NAWM_SPREAD = 0.025  # (ours) smooth variation of a person's white matter, relative SD


Values = np.ndarray | np.floating[Any]  # of every voxel, or one for all


class Diffusion(NamedTuple):
    """Axial and radial diffusivity in um2/ms, and the share of free water, of some voxels."""

    axial: Values
    radial: Values
    free: Values


def simulate_maps(scene: Scene, names: Many[str]) -> dict[str, np.ndarray]:
    """Simulate quantitative maps.

    Args:
        scene: brain and scanner.
        names: any of mtr, fa, rd, ad, adc.

    Returns:
        MTR in percent, FA unitless, RD, AD and ADC in um2/ms, by name: float32 (n, n, n), exactly 0 outside the brain
        and above 0 inside.
    """
    maps = {}
    if "mtr" in names:
        maps["mtr"] = _measured_mt_ratio(scene)
    if {"fa", "rd", "ad", "adc"} & set(names):
        maps.update(_measured_diffusion(scene, with_trace="adc" in names))
    return {name: _finished(maps[name], scene.anatomy) for name in names}


def _finished(values: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Round to 1/4096: below the noise, and independent of the last digit of the arithmetic."""
    rounded = np.maximum(np.round(values * 4096.0), 1.0) / 4096.0
    return np.where(anatomy.brain, rounded, 0.0).astype(np.float32)


def _mt_ratios(scene: Scene) -> dict[str, np.ndarray]:
    """Return the true MTR in percent per tissue, flat over the brain or a single value."""
    brain = scene.anatomy.brain
    lesions = scene.lesions
    myelin, axons, water = lesions.myelin_loss()[brain], lesions.axonal_loss[brain], lesions.water[brain]
    person = stream(scene.person_seed, "mtr")
    white = MT_RATIO["white"] * (1.0 + person.normal(0.0, 0.02)) * (1.0 + _own_variation(scene, "mtr"))
    # (ours) whole loss of myelin takes 45 %, of axons 12 %, of the rest water takes up to 22 %
    white = white * np.clip(1.0 - 0.45 * myelin - 0.12 * axons - 0.22 * water, 0.05, None)
    ratios = {"white": white, "grey": np.float32(MT_RATIO["grey"]), "fluid": np.float32(MT_RATIO["fluid"])}
    if scene.tumour is not None:
        ratios.update({name: np.float32(part.mt_ratio) for name, part in scene.tumour.parts.items()})
    return ratios


def _diffusion(scene: Scene) -> dict[str, Diffusion]:
    """Return the true diffusivities per tissue, flat over the brain or a single value."""
    brain = scene.anatomy.brain
    lesions = scene.lesions
    myelin, axons, water = lesions.myelin_loss()[brain], lesions.axonal_loss[brain], lesions.water[brain]
    axial, radial = axial_and_radial(MEAN_DIFFUSIVITY["white"], tract_anisotropy(scene.anatomy)[brain])
    # (ours) demyelination opens the way across the fibres; axonal loss opens it too and shortens the way along them
    radial = radial * np.exp(0.60 * myelin + 0.25 * axons) * (1.0 + _own_variation(scene, "diffusion"))
    axial = np.maximum(axial * np.exp(0.04 * myelin - 0.10 * axons), radial)
    free = 0.22 * water
    if scene.tumour is not None:  # (ours) vasogenic oedema lies between the fibres: more of it is free
        free = free + 0.20 * scene.tumour.oedema[brain]
    tissues = {"white": Diffusion(axial, radial, free)}
    none = np.float32(0.0)
    tissues["grey"] = Diffusion(*axial_and_radial(MEAN_DIFFUSIVITY["grey"], np.float32(GREY_ANISOTROPY)), none)
    fluid = np.float32(MEAN_DIFFUSIVITY["fluid"])
    tissues["fluid"] = Diffusion(fluid, fluid, none)
    if scene.tumour is not None:
        for name, part in scene.tumour.parts.items():
            axes = axial_and_radial(part.mean_diffusivity_in(brain), np.float32(part.anisotropy))
            tissues[name] = Diffusion(*axes, none)
    return tissues


def axial_and_radial(mean: Values | float, anisotropy: Values) -> tuple[Values, Values]:
    """Compute the diffusivities of an axially symmetric tensor.

    Args:
        mean: mean diffusivity in um2/ms.
        anisotropy: FA, 0 to 1.

    Returns:
        Axial and radial diffusivity in um2/ms.
    """
    difference = anisotropy * np.sqrt(3.0) * mean / np.sqrt(1.0 - 2.0 * anisotropy**2 / 3.0)
    return mean + 2.0 * difference / 3.0, mean - difference / 3.0


def fractional_anisotropy(axial: np.ndarray, radial: np.ndarray) -> np.ndarray:
    """Compute FA of an axially symmetric tensor: |AD - RD| / sqrt(AD^2 + 2 RD^2).

    Args:
        axial: axial diffusivity, any unit and shape.
        radial: radial diffusivity, same unit and shape.

    Returns:
        0 to 1.
    """
    return np.clip(np.abs(axial - radial) / np.sqrt(np.maximum(axial**2 + 2.0 * radial**2, 1e-6)), 0.0, 1.0)


def _own_variation(scene: Scene, what: str) -> np.ndarray:
    """Draw variation of white matter not due to myelin: smooth in a person, and one number per lesion."""
    owner = scene.lesions.owner
    person = stream(scene.person_seed, "white matter", what)
    smooth = NAWM_SPREAD * random_field(person, owner.shape, 25.0, scene.anatomy.voxel)[scene.anatomy.brain]
    own = stream(scene.person_seed, "lesions", what).normal(0.0, LESION_SPREAD, int(owner.max()) + 1)
    own[0] = 0.0
    return (smooth + own.astype(np.float32)[owner[scene.anatomy.brain]]).astype(np.float32)


def _measured_mt_ratio(scene: Scene) -> np.ndarray:
    """MTR = 100 (M0 - Ms) / M0 of two noisy images; saturation takes its share of each tissue's signal."""
    sequence = scene.protocol.mt
    unsaturated = {name: spoiled_signal(tissue, sequence) for name, tissue in scene.tissues.items()}
    ratios = _mt_ratios(scene)
    saturated = {name: signal * (1.0 - ratios[name] / 100.0) for name, signal in unsaturated.items()}
    reference = float(np.median(unsaturated["white"]))
    random = stream(scene.person_seed, "acquire", "mtr", scene.visit)
    # (ours) the saturation pulse varies in space: B1
    field = 1.0 + 0.015 * random_field(random, scene.anatomy.shape, 90.0, scene.anatomy.voxel)
    without, with_pulse = acquire_together(
        [mix(scene, unsaturated, reference), mix(scene, saturated, reference)], scene.anatomy, sequence, random
    )
    return np.clip(100.0 * field * (without - with_pulse) / np.maximum(without, 1.0), 0.0, 100.0)


def _measured_diffusion(scene: Scene, with_trace: bool) -> dict[str, np.ndarray]:
    """Diffusivities -ln(S / S0) / b along and across the fibres, and of the trace-weighted image, from noisy images."""
    sequence = scene.protocol.dwi
    plain = {name: np.exp(-sequence.echo / tissue.t2) * tissue.density for name, tissue in scene.tissues.items()}
    reference = float(np.median(plain["white"]))
    diffused = _diffusion(scene)
    diffusivities = {"ad": lambda part: part.axial, "rd": lambda part: part.radial}
    if with_trace:
        diffusivities["adc"] = lambda part: (part.axial + 2.0 * part.radial) / 3.0
    signals = [mix(scene, plain, reference)]
    for along in diffusivities.values():
        weighted = {name: plain[name] * _attenuation(along(tissue), tissue.free) for name, tissue in diffused.items()}
        signals.append(mix(scene, weighted, reference))
    random = stream(scene.person_seed, "acquire", "dwi", scene.visit)
    images = acquire_together(signals, scene.anatomy, sequence, random)
    maps = {name: _diffusivity(image, images[0]) for name, image in zip(diffusivities, images[1:])}
    maps["ad"], maps["rd"] = np.maximum(maps["ad"], maps["rd"]), np.minimum(maps["ad"], maps["rd"])
    maps["fa"] = fractional_anisotropy(maps["ad"], maps["rd"])
    return maps


def _attenuation(diffusivity: Values, free: Values) -> Values:
    """Two compartments, tissue and free water (Pasternak et al. 2009)."""
    return (1.0 - free) * np.exp(-B_VALUE * diffusivity) + free * np.exp(-B_VALUE * MEAN_DIFFUSIVITY["fluid"])


def _diffusivity(weighted: np.ndarray, plain: np.ndarray) -> np.ndarray:
    return np.clip(-np.log(np.maximum(weighted, 1.0) / np.maximum(plain, 1.0)) / B_VALUE, 0.0, 4.0)
