"""The short form of combinations.py with fixed seeds."""

from __future__ import annotations

from fuzzing.combinations import run


def test_every_combination_of_header_type_mask_and_path_is_read_as_it_was_drawn():
    right, findings = run(0, 150)
    assert findings == []
    assert right["combinations"] == 150
