"""Provenance that every DICOM object of a result states, and its identifiers.

Identifiers (UIDs) are hashes of everything that decides an object's content: the slices it is derived from, the
weights, the map, the lesions. The same run writes the same bytes under the same UIDs, so that sending twice leaves one
copy in the archive, and no two different contents ever share a UID (ours). Dates follow from the series for the same
reason: the objects carry the date of the MRI, not of the run.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from ... import __version__

MANUFACTURER = "MyelinSynth"
LONG_STRING = 64  # characters of a DICOM value of type LO (PS3.5, 6.2)


def uid_of(*words: object) -> str:
    """Derive a UID from a hash: a UUID below 2.25, which needs no registration (PS3.5, B.2).

    Args:
        *words: text and numbers to hash.

    Returns:
        The UID; the same words give the same one.
    """
    digest = hashlib.sha256("\n".join(map(str, words)).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


def _named(model: str, weights_sha256: str) -> tuple[str, str]:
    """Name and version of a model as an algorithm; each fits a DICOM string of type LO."""
    return f"MyelinSynth, model {model}"[:LONG_STRING], f"{__version__}, weights {weights_sha256[:16]}"


@dataclass(frozen=True)
class Origin:
    """How a result was made.

    Attributes:
        model: name of the bundle.
        weights_sha256: of its weights.
        simulated_training: whether simulated data trained the model.
        simulated_patient: whether the patient is simulated.
        lesions: `given`, `found` (by a network) or `none`.
        reviewed: whether a person has looked at the lesions.
        finder: name and weights of the network that found them.
        content: hash of everything that is stored.
    """

    model: str
    weights_sha256: str
    simulated_training: bool
    simulated_patient: bool
    lesions: str
    reviewed: bool
    finder: tuple[str, str] | None
    content: str = ""

    @classmethod
    def of(cls, provenance: Mapping[str, Any], *content: bytes) -> Origin:
        """Read how a result was made.

        Args:
            provenance: content of the Result's provenance.json.
            *content: bytes of everything that is stored.

        Returns:
            The origin, with the hash of the content.
        """
        model = provenance["model"]
        origin = cls(
            model["name"],
            model["weights_sha256"],
            bool(model["simulated_training_data"]),
            bool(provenance.get("simulated_patient")),
            provenance.get("lesion_source", "given"),  # Results of earlier versions do not say
            "review" in provenance,
            _finder(provenance.get("inputs") or {}),
        )
        digest = hashlib.sha256(f"{__version__} highdicom {version('highdicom')} {origin}".encode())
        for part in content:
            digest.update(hashlib.sha256(part).digest())
        return replace(origin, content=digest.hexdigest())

    def uid(self, *words: object) -> str:
        """Derive a UID of this content.

        Args:
            *words: what distinguishes objects of one result.

        Returns:
            The UID; the same words give the same one.
        """
        return uid_of(self.content, *words)

    @property
    def algorithm(self) -> tuple[str, str]:
        """Name and version of the model that made the map."""
        return _named(self.model, self.weights_sha256)

    @property
    def lesion_algorithm(self) -> tuple[str, str]:
        """Name and version of the network that found the lesions."""
        return _named(*self.finder) if self.finder else self.algorithm

    @property
    def description(self) -> str:
        """What the objects are, in one line of at most 64 characters."""
        training = ", simulated training data" if self.simulated_training else ""
        return f"Synthetic, not PET{training}; not for diagnosis"[:LONG_STRING]

    @property
    def derivation(self) -> str:
        """What the objects are, in full."""
        sentences = [
            "Synthetic [11C]PiB DVR (unitless), predicted from MRI by a neural network; not measured by PET.",
            f"Model {self.model}, weights SHA-256 {self.weights_sha256}, MyelinSynth {__version__}.",
            "The model was trained on simulated patients." if self.simulated_training else "",
            "The MRI is of a simulated patient." if self.simulated_patient else "",
            "Research use only, not for diagnosis.",
        ]
        return " ".join(sentence for sentence in sentences if sentence)


def _finder(inputs: Mapping[str, Any]) -> tuple[str, str] | None:
    about = inputs.get("lesions_found_by") or inputs.get("completed_with")
    return (str(about["name"]), str(about["weights_sha256"])) if about else None
