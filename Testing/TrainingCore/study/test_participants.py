"""What spreadsheets do to participants.tsv is read, or refused in one sentence; nothing is taken silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from TrainingCore.data.cohort_bids import participants
from TrainingCore.runtime.errors import BadInput
from TrainingCore.study.associations import cell_number, is_numeric
from TrainingCore.study.table import _text_or_none as value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("participant_id\tedss\nsub-1\t2\nsub-1\t3\n", "two different rows of sub-1"),
        ("ID\tedss\nsub-1\t2\n", "no column participant_id"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "participants.tsv").write_text(text)
    with pytest.raises(BadInput, match=sentence):
        participants(tmp_path / "participants.tsv")


def test_short_rows_are_unknown_and_repeated_rows_count_once(tmp_path: Path) -> None:
    text = "\ufeffparticipant_id\tage\tedss\r\nsub-1\t40\r\nsub-2\t41\t2\r\nsub-2\t41\t2\r\n"
    (tmp_path / "participants.tsv").write_bytes(text.encode())
    people = participants(tmp_path / "participants.tsv")
    assert value(people["1"]["edss"]) is None
    assert people["2"] == {"age": "41", "edss": "2"}


def test_numbers_with_a_decimal_comma_are_numbers_and_a_stray_text_is_said() -> None:
    rows = [{"edss": "1,5"}, {"edss": "2"}, {"edss": None}, {"edss": "3.5"}]
    assert is_numeric(rows, "edss")
    assert cell_number("1,5") == 1.5
    with pytest.raises(BadInput, match="the text 'unclear'"):
        is_numeric([*rows, {"edss": "unclear"}], "edss")
    assert not is_numeric([{"site": "A"}, {"site": "B"}, {"site": "3"}], "site")
