"""Fill in missing inputs with another model: a FLAIR synthesized from the T1w, or a lesion mask.

Such inputs are flagged by a warning, by `synthetic_inputs` in the provenance, and by a banner in the report.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..data.bundle import Bundle
from ..evaluation.segmentation import lesion_threshold
from ..imaging.aligned import AlignedPatient
from ..imaging.intensities import background_of
from ..imaging.registration import Registration
from ..imaging.volumes import Volume
from ..runtime.errors import BadInput
from .model import TrainedModel
from .volume import predict_patient

UNITS = 100.0  # intensity of a synthetic MRI per unit of the network, to give a usual intensity range


def check_completing(bundle: Bundle) -> None:
    """Check that a model can complete a patient: it must synthesize FLAIR from T1w only.

    Args:
        bundle: model given with --complete-with.

    Raises:
        BadInput: the model has another output or other inputs, or it only segments.
    """
    about = bundle.description
    if about["output"] != "flair" or about["inputs"] != ["t1w"]:
        raise BadInput(
            f"The model {bundle.path} synthesizes {about['output']} from {', '.join(about['inputs'])}. --complete-with "
            "needs a model that synthesizes FLAIR from T1w."
        )
    if makes_no_image(bundle):
        raise BadInput(
            f"The model {bundle.path} segments hyperintensities and synthesizes no FLAIR. Give another --complete-with."
        )


def makes_no_image(bundle: Bundle) -> bool:
    """Check whether a model only segments lesions, as the unimodal comparator of Orbes-Arteaga et al. 2018.

    Args:
        bundle: any model.

    Returns:
        True if the model has no generator.
    """
    return bundle.description["architecture"].get("mode") == "unimodal"


def complete(
    model: TrainedModel, patient: AlignedPatient, lesions_wanted: bool, say: Callable[[str], None]
) -> tuple[list[str], Volume | None, np.ndarray | None]:
    """Add a missing FLAIR to `patient.images`, and segment lesions if there is no mask.

    Args:
        model: model that synthesizes FLAIR from T1w, see check_completing.
        patient: aligned images; the synthetic FLAIR is added.
        lesions_wanted: whether to segment lesions.
        say: called with notes.

    Returns:
        Names of the inputs that were filled in (`flair`, `lesions`); lesion mask on the T1w grid, or None; probability
        of a lesion, float (I, J, K), or None.

    Raises:
        BadInput: only the lesion mask is missing, and the model does not segment lesions.
    """
    flair_wanted = "flair" not in patient.images
    if lesions_wanted and not flair_wanted and not model.segments:
        raise BadInput(f"The model {model.bundle.path} does not segment lesions. Leave out --complete-with.")
    if not lesions_wanted and not flair_wanted:
        say("--complete-with had no effect, because no input is missing.")
        return [], None, None
    t1w = patient.images["t1w"]
    result = predict_patient(model, patient, flips=False, uncertainty=False, say=say)
    outputs = []
    if flair_wanted:
        inside = patient.brain.mask.data > 0.5
        background = background_of(model.bundle.description["intensity"])
        values = as_image(result.mean(flips=False), inside, background)
        patient.images["flair"] = Volume(values, t1w.affine, "synthetic FLAIR")
        patient.registrations["flair"] = Registration(np.eye(4), "identity (synthetic, made on the T1w)", 0.0, 1.0)
        outputs.append("flair")
    lesions = probability = None
    if lesions_wanted and result.lesions is not None:
        probability = result.lesions
        mask = result.lesions > lesion_threshold(model.bundle.description)
        lesions = Volume(mask.astype(np.float32), t1w.affine, "lesions found by the model")
        outputs.append("lesions")
        if not lesions.data.any():
            say("The network segmented no lesions. This does not mean that there are none.")
    return outputs, lesions, probability


def as_image(values: np.ndarray, inside: np.ndarray, background: float) -> np.ndarray:
    """Convert a predicted MRI from network units, with a negative background, to an image that is 0 outside the brain.

    Args:
        values: prediction in network units, (I, J, K).
        inside: brain mask.
        background: value of the background in network units.

    Returns:
        Image, float32, 0 or more.
    """
    return np.where(inside, np.maximum((values - background) * UNITS, 0.0), 0.0).astype(np.float32)


def describe_completion(outputs: list[str], bundle: Bundle) -> str:
    """Write the warning about inputs that a model filled in.

    Args:
        outputs: names of the inputs that were filled in: `flair`, `lesions`.
        bundle: the model that filled them in.

    Returns:
        Two or three sentences; empty if no input was filled in.
    """
    if not outputs:
        return ""
    what = {"flair": "FLAIR is synthetic", "lesions": "lesion mask was found by a network"}
    result = "the map relies" if "flair" in outputs else "the lesion table relies"
    text = (
        f"The {' and the '.join(what[name] for name in outputs)} (model: {bundle.description['name']}). It was neither "
        f"measured nor drawn by a person: {result} on the T1w alone and cannot show more than the T1w does."
    )
    return text + (" That model was trained on simulated data only." if bundle.simulated else "")
