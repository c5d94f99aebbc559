"""Whatever a job prints, what is passed on can be shown on a page, in a log and on a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from gridnode import plain_text


def test_escapes_nul_and_direction_marks_are_gone_and_words_stay() -> None:
    tail = b"step 1\r\nstep\t2\x1b[31m red\x00\x07 \xe2\x80\xaegnp.exe \xff caf\xc3\xa9\n"

    assert plain_text.tamed(tail, 100) == "step 1\nstep 2[31m red gnp.exe � café\n"


def test_the_end_is_kept_and_lines_can_be_joined() -> None:
    assert plain_text.tamed("one\ntwo\nthree", 9, keeps_lines=False) == "two three"


@given(st.one_of(st.text(), st.binary()), st.integers(1, 50))
def test_nothing_that_acts_on_a_reader_is_left(text: str | bytes, limit: int) -> None:
    found = plain_text.tamed(text, limit)

    assert len(found) <= limit
    assert all(letter == "\n" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in found)
    found.encode()
