"""Open a lesion finder and wrap it as a function for the pipeline."""

from __future__ import annotations

from ..data.bundle import LESION_FINDER, Bundle
from ..imaging.aligned import AlignedPatient
from ..prediction.lesion_finding import find_lesions
from ..prediction.model import TrainedModel
from ..runtime.errors import BadInput
from .pipeline import FoundLesions, LesionFinder, describe_finder


def open_finder(name: str) -> Bundle | None:
    """Open the bundle of a lesion finder.

    Args:
        name: bundle folder, .zip or name.

    Returns:
        The bundle, or None if it is the bundled one and not installed.

    Raises:
        BadInput: the bundle is missing or does not segment lesions.
    """
    try:
        bundle = Bundle.open(name)
    except BadInput:
        if name == LESION_FINDER:
            return None
        raise
    if bundle.description["output"] != "lesions":
        raise BadInput(
            f"The model {bundle.path} synthesizes {bundle.description['output']} and cannot segment lesions. Give "
            "another --lesion-finder, or --lesions none for a result without a lesion table."
        )
    return bundle


def finder_of(bundle: Bundle, device: str = "auto") -> LesionFinder:
    """Create a function that segments the lesions of an aligned patient.

    Args:
        bundle: the lesion finder.
        device: auto, cpu or cuda:N.

    Returns:
        Function of the aligned patient.
    """
    about = describe_finder(bundle)

    def find(aligned: AlignedPatient) -> FoundLesions:
        mask, probability = find_lesions(TrainedModel.load(bundle, device), aligned)
        return FoundLesions(mask, probability, about)

    return find
