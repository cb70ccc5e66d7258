"""Tables of numbers are told from prose, verse and tables of words."""

from __future__ import annotations

import pytest

from genwright.media.numbers import share_of_numbers

MARKS = "name,mark\n" + "\n".join(f"Pupil {n},{n % 6 + 1}" for n in range(30))
DATES = "date;price;change\n" + "\n".join(f"2024-01-{n:02d};{n}.5;-{n}%" for n in range(1, 20))


@pytest.mark.parametrize("text", [MARKS, DATES, DATES.replace(";", "\t"), "1 2 3\n4 5 6\n7 8 9\n1 2 3\n"])
def test_tables_of_numbers(text: str) -> None:
    assert share_of_numbers(text) >= 0.5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1. Milk\n2. Eggs\n3. Bread\n4. Tea\n",
        "In 1984, the year began\nIn 1985, it went on\nIn 1986, it ended\nIn 1987, nothing was\n",
        "question,answer\n" + "How old is 1?,It is 7 years and more old today\n" * 10,
        "12:30, Ann came in and said that 4 of them had gone away before the morning\n" * 10,
        "1\n\nOnce upon a time.\n\n2\n\nAnd then she went.\n",
    ],
)
def test_what_is_none(text: str) -> None:
    assert share_of_numbers(text) == 0
