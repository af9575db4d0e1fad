"""Compare the patients of two DICOM headers by hashes of their identities; nothing readable is stored."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DicomIdentity:
    """Hashes of patient ID, parts of the name and date of birth, each empty if not given."""

    number: str = ""
    name: frozenset[str] = frozenset()
    born: str = ""


def person_of(header: Any) -> DicomIdentity:
    """Hash the identity in a header.

    A patient ID is compared without case, blanks and leading zeros; a name without case, accents, punctuation and
    order, so that `A^B`, `A^B^^^` and `a, b` are one name.

    Args:
        header: pydicom data set.

    Returns:
        Hashes only.
    """
    return DicomIdentity(
        number=_hash(re.sub(r"\W", "", _plain(header.get("PatientID"))).lstrip("0")),
        name=frozenset(_hash(word) for word in re.findall(r"[^\W_]+", _plain(header.get("PatientName")))),
        born=_hash(re.sub(r"\D", "", str(header.get("PatientBirthDate") or ""))),
    )


def same_person(first: DicomIdentity, second: DicomIdentity) -> bool:
    """Check that nothing contradicts that two identities are one person.

    Missing values contradict nothing, and a name may have additional parts (a middle name, a title).

    Args:
        first: identity of a series.
        second: identity of another series.
    """
    numbers = first.number == second.number or not first.number or not second.number
    born = first.born == second.born or not first.born or not second.born
    names = first.name <= second.name or second.name <= first.name
    return numbers and born and names


def _plain(value: Any) -> str:
    """Lower case without accents; of a name written in several scripts, the first of them."""
    text = unicodedata.normalize("NFKD", str(value or "").split("=")[0].casefold())
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return re.sub(r"([aou])e", r"\1", text)  # Mueller is M\u00fcller


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
