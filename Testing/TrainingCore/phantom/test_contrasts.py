"""Every contrast of every disease: the order of the tissues that any radiologist would expect."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from TrainingCore.data.case import ALL_MRI, MRI, QUANTITATIVE, Case
from TrainingCore.phantom.acquisition import acquire_together
from TrainingCore.phantom.gadolinium import ACTIVE_BELOW_MM3, RELAXIVITY_T1, active_lesions, enhanced
from TrainingCore.phantom.microstructure import axial_and_radial, fractional_anisotropy, tract_anisotropy
from TrainingCore.phantom.patient import body, simulate_visit
from TrainingCore.phantom.people import draw_person
from TrainingCore.phantom.protocols import visit_protocol
from TrainingCore.phantom.randomness import stream
from TrainingCore.phantom.tissues import Relaxation
from TrainingCore.runtime.errors import BadInput

SIZE = 64
SEED = 7
ROWS = (*MRI, "mtr", "fa", "rd")


@pytest.fixture(scope="module")
def case() -> Case:
    return simulate_visit(SEED, 1, "A", SIZE, contrasts=(*ALL_MRI, "dvr"))


@pytest.fixture(scope="module")
def person_body():
    return body(draw_person(SEED, "A"), 1, SIZE)


@pytest.fixture(scope="module")
def medians(case: Case, person_body) -> dict[str, dict[str, float]]:
    anatomy, lesions, _ = person_body
    near_lesion = ndimage.binary_dilation(lesions.mask, iterations=2)
    tissues = {
        "white": (anatomy.white_matter > 0.95) & ~near_lesion & (anatomy.ventricle_distance > 8.0),
        "grey": anatomy.grey_matter > 0.9,
        "fluid": anatomy.ventricles & ndimage.binary_erosion(anatomy.ventricles),
        "lesion": lesions.mask & (anatomy.white_matter > 0.9),
    }
    return {
        name: {tissue: float(np.median(case.volumes[name][where])) for tissue, where in tissues.items()}
        for name in ALL_MRI
    }


@pytest.mark.parametrize(
    ("contrast", "order"),
    [
        ("t1w", ["fluid", "grey", "white"]),
        ("t1ce", ["fluid", "grey", "white"]),
        ("flair", ["fluid", "white", "grey", "lesion"]),
        ("t2w", ["white", "grey", "fluid"]),
        ("t2w", ["white", "lesion", "fluid"]),
        ("mtr", ["fluid", "grey", "white"]),
        ("mtr", ["fluid", "lesion", "white"]),
        ("fa", ["fluid", "grey", "white"]),
        ("fa", ["fluid", "lesion", "white"]),
        ("rd", ["white", "grey", "fluid"]),
        ("rd", ["white", "lesion", "fluid"]),
        ("ad", ["white", "lesion", "fluid"]),
        ("adc", ["white", "grey", "fluid"]),
        ("adc", ["white", "lesion", "fluid"]),
    ],
)
def test_tissues_have_their_order_in(contrast: str, order: list[str], medians) -> None:
    levels = [medians[contrast][tissue] for tissue in order]
    assert levels == sorted(levels)
    assert len(set(levels)) == len(levels)


def test_maps_are_in_their_units_near_the_published_values(medians) -> None:
    assert medians["mtr"]["white"] == pytest.approx(38.0, abs=3.0)
    assert medians["adc"]["white"] == pytest.approx(0.72, abs=0.06)  # Pierpaoli et al. 1996
    assert medians["adc"]["grey"] == pytest.approx(0.88, abs=0.12)
    assert 2.5 < medians["adc"]["fluid"] < 3.3
    assert 0.3 < medians["fa"]["white"] < 0.6
    assert medians["fa"]["grey"] < 0.25


def test_demyelination_raises_radial_diffusivity_and_axial_only_a_little(medians) -> None:
    rise = {name: medians[name]["lesion"] / medians[name]["white"] - 1.0 for name in ("rd", "ad")}
    assert rise["rd"] > 0.2
    assert rise["ad"] < 0.6 * rise["rd"]


@pytest.fixture(scope="module")
def lesion_rows() -> np.ndarray:
    """One row per lesion of four patients: volume (mm3), deficit, then its level relative to white matter in `ROWS`."""
    rows = []
    for seed in (1, 2, 3, 4):
        visit = simulate_visit(seed, 1, "A", SIZE, contrasts=ROWS)
        anatomy, lesions, _ = body(draw_person(seed, "A"), 1, SIZE)
        pure = anatomy.white_matter > 0.95
        level = [np.median(visit.volumes[name][pure & ~lesions.mask]) for name in ROWS]
        for number in range(1, int(lesions.owner.max()) + 1):
            whole = lesions.owner == number
            where = whole & pure
            if where.sum() >= 2:
                relative = [visit.volumes[name][where].mean() / one for name, one in zip(ROWS, level)]
                rows.append((whole.sum() * anatomy.voxel**3, lesions.deficit[where].mean(), *relative))
    return np.array(rows)


@pytest.mark.parametrize(("contrast", "sign"), [("mtr", -1), ("fa", -1), ("rd", 1)])
def test_maps_follow_myelin_between_lesions_but_do_not_tell_it_alone(contrast: str, sign: int, lesion_rows) -> None:
    volume, deficit, level = lesion_rows[:, 0], lesion_rows[:, 1], lesion_rows[:, 2 + ROWS.index(contrast)]
    large = volume > 100.0
    assert large.sum() > 25
    assert 0.25 < sign * np.corrcoef(deficit[large], level[large])[0, 1] < 0.95


def test_small_lesions_are_often_nearly_isointense_in_t1w_but_never_in_flair(lesion_rows) -> None:
    """As in ms_mni sub-07 and sub-19: small lesions less dark in T1w than large ones, all of them bright in FLAIR."""
    volume, deficit = lesion_rows[:, 0], lesion_rows[:, 1]
    t1w, flair = (lesion_rows[:, 2 + ROWS.index(name)] - 1.0 for name in MRI)
    small, large = volume < 150.0, volume > 400.0
    assert small.sum() > 30
    assert np.median(t1w[small]) > np.median(t1w[large]) + 0.02
    assert (t1w[small] > -0.05).mean() > 0.08
    nearly_isointense = t1w > -0.05
    assert np.median(flair[nearly_isointense]) > 0.1
    assert np.median(deficit[nearly_isointense]) < np.median(deficit) - 0.05  # remyelinated: Kolb et al. 2021


def test_the_corpus_callosum_is_the_most_anisotropic(person_body) -> None:
    anatomy = person_body[0]
    truth = tract_anisotropy(anatomy)
    white = anatomy.white_matter > 0.9
    middle = np.zeros(anatomy.shape, bool)
    half = anatomy.shape[0] // 2
    middle[half - 2 : half + 2] = True
    callosum = white & middle & (anatomy.ventricle_distance < 8.0)
    assert callosum.sum() > 5
    assert truth[callosum].mean() > truth[white & (anatomy.cortex_distance < 6.0)].mean() + 0.15


@pytest.mark.parametrize("anisotropy", [0.0, 0.2, 0.5, 0.8])
def test_axes_of_a_tensor_give_its_anisotropy_and_mean_back(anisotropy: float) -> None:
    axial, radial = axial_and_radial(0.7, np.array(anisotropy))
    assert fractional_anisotropy(axial, radial) == pytest.approx(anisotropy, abs=1e-9)
    assert (axial + 2.0 * radial) / 3.0 == pytest.approx(0.7)


def test_agent_shortens_t1_as_its_relaxivity_says() -> None:
    before = Relaxation(np.array([1000.0]), np.array([80.0]), np.array([0.7]))
    after = enhanced(before, np.array([0.4]))
    assert 1000.0 / after.t1[0] - 1000.0 / before.t1[0] == pytest.approx(RELAXIVITY_T1 * 0.4)
    assert after.t2[0] < before.t2[0]


def test_images_acquired_together_lie_on_the_same_samples(person_body) -> None:
    anatomy = person_body[0]
    sequence = dataclasses.replace(visit_protocol(1, 1, "A").dwi, noise=0.0, thickness=7.0, in_plane=5.0)
    signal = anatomy.white_matter.astype(np.float32)
    first, second = acquire_together([signal, 0.5 * signal], anatomy, sequence, stream(1, "together"))
    bright = first > 500.0
    assert second[bright] == pytest.approx(0.5 * first[bright], abs=0.51)


@pytest.mark.parametrize("disease", ["ms", "wmh", "glioma"])
def test_a_contrast_is_the_same_whatever_else_is_asked_for(disease: str) -> None:
    alone = simulate_visit(3, 1, "R", 32, disease=disease, contrasts=("t1w", "rd"))
    all_of_them = simulate_visit(3, 1, "R", 32, disease=disease, contrasts=ALL_MRI)
    for name in ("t1w", "rd", "lesions"):
        assert np.array_equal(alone.volumes[name], all_of_them.volumes[name])
    assert not {"flair", "dvr", "fa"} & set(alone.volumes)


def test_background_is_exactly_zero_and_the_brain_never_is(case: Case) -> None:
    brain = case.volumes["brain"]
    for name in ALL_MRI:
        assert case.volumes[name].dtype == np.float32
        assert not case.volumes[name][~brain].any(), name
        assert case.volumes[name][brain].min() > 0.0, name
    assert case.volumes["fa"].max() <= 1.0
    assert np.all(case.volumes["rd"] <= case.volumes["ad"])


def test_single_voxels_are_noisy_in_every_map(case: Case) -> None:
    again = simulate_visit(SEED, 2, "A", SIZE, contrasts=QUANTITATIVE)
    for name in QUANTITATIVE:
        white = case.volumes["white_matter"] & ~case.volumes["lesions"] & ~again.volumes["lesions"]
        difference = (case.volumes[name] - again.volumes[name])[white]
        assert difference.std() > 0.02 * np.median(case.volumes[name][white]), name


@pytest.mark.parametrize(("contrasts", "disease"), [(("t3w",), "ms"), (("dvr",), "glioma"), (("lesions",), "wmh")])
def test_contrasts_that_nobody_can_make_are_said(contrasts: tuple[str, ...], disease: str) -> None:
    with pytest.raises(BadInput, match=r"Contrast|glioma"):
        simulate_visit(1, 1, "A", 32, contrasts=contrasts, disease=disease)


def test_few_ms_lesions_take_up_agent_and_none_of_the_large() -> None:
    shares = []
    for seed in range(1, 7):
        lesions = body(draw_person(seed, "A"), 1, SIZE)[1]
        level = active_lesions(lesions, 192.0 / SIZE, seed, 1)
        assert not level[~lesions.mask].any()
        numbers = np.unique(lesions.owner[level > 0.0])
        shares.append(len(numbers) / lesions.owner.max())
        for number in numbers:
            assert (lesions.owner == number).sum() * (192.0 / SIZE) ** 3 < ACTIVE_BELOW_MM3
    assert 0.01 < np.mean(shares) < 0.15


def test_an_active_lesion_is_brighter_after_the_agent() -> None:
    seed = next(seed for seed in range(1, 20) if _largest_active(seed)[1] >= 6)
    visit = simulate_visit(seed, 1, "A", SIZE, contrasts=("t1w", "t1ce_low", "t1ce"))
    where = _largest_active(seed)[0]
    before, low, full = (visit.volumes[name][where].mean() for name in ("t1w", "t1ce_low", "t1ce"))
    assert before < low < full
    assert full > 1.1 * before


def _largest_active(seed: int) -> tuple[np.ndarray, int]:
    lesions = body(draw_person(seed, "A"), 1, SIZE)[1]
    active = lesions.owner * (active_lesions(lesions, 192.0 / SIZE, seed, 1) > 0.0)
    counts = np.bincount(active.ravel())
    counts[0] = 0
    return active == counts.argmax() if counts.any() else active > 0, int(counts.max())
