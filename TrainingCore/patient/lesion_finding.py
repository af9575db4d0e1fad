"""The lesion finder as the pipeline calls it."""

from __future__ import annotations

from ..data.bundle import LESION_FINDER, Bundle
from ..imaging.aligned import AlignedPatient
from ..prediction.lesion_finding import find_lesions
from ..prediction.model import TrainedModel
from ..runtime.errors import BadInput
from .pipeline import FoundLesions, LesionFinder, describe_finder


def open_finder(name: str) -> Bundle | None:
    """The bundle of a lesion finder; None where the one that comes with the package is not installed.

    Raises BadInput for a bundle that is missing or does not find lesions.
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
    """A function that finds the lesions of an aligned patient with a model. device: auto, cpu or cuda:N."""
    about = describe_finder(bundle)

    def find(aligned: AlignedPatient) -> FoundLesions:
        mask, probability = find_lesions(TrainedModel.load(bundle, device), aligned)
        return FoundLesions(mask, probability, about)

    return find
