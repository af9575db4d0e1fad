from __future__ import annotations

import pytest

from TrainingCore.phantom import edition, lesion_classes, pet


def test_this_edition_is_frozen() -> None:
    assert edition.fingerprint() == edition.FROZEN[edition.EDITION], (
        "a number of the digital patient changed: give it a new edition, or record the fingerprint with the reason"
    )


@pytest.mark.parametrize(("module", "name"), [(pet, "NOISE_POWER"), (lesion_classes, "CLASSES")])
def test_the_fingerprint_changes_with_a_constant(monkeypatch, module, name: str) -> None:
    before = edition.fingerprint()
    value = getattr(module, name)
    monkeypatch.setattr(module, name, value[:-1] if isinstance(value, tuple) else value + 0.01)
    assert edition.fingerprint() != before


def test_unnamed_numbers_count_too() -> None:
    assert "0.65" in edition.constants()  # signals.py: T2* as a share of T2
