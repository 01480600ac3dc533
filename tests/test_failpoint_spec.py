"""The specification of failpoints: it says all that can be asked for, and a word that is wrong is told in a sentence."""

from __future__ import annotations

import errno
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.errors import ConfigError, Exit
from edgegw.failpoint import NAMES, SPEC, Action, Point, parse

ARGUMENTS: dict[Action, st.SearchStrategy[float]] = {
    Action.KILL: st.just(0),
    Action.HANG: st.just(0),
    Action.EXIT: st.integers(0, 255),
    Action.SLEEP: st.integers(0, 999_999_999).map(lambda ms: ms / 1000),
    Action.ERROR: st.sampled_from(sorted(errno.errorcode)),
}
TIMES = st.one_of(
    st.just((1, 0, 1.0)),
    st.integers(1, 999).map(lambda n: (n, n, 1.0)),
    st.integers(1, 999).map(lambda n: (n, 0, 1.0)),
    st.integers(1, 999_999).map(lambda ppm: (1, 0, ppm / 1e6)),
)


@st.composite
def points(draw: st.DrawFn) -> Point:
    """Any that can be asked for."""
    action = draw(st.sampled_from(Action))
    who = draw(st.sampled_from(["", "bridge", "worker", "s-0_x"]))
    name, limit = draw(st.sampled_from(sorted(NAMES))), draw(st.sampled_from([0, 1, 77]))
    return Point(name, action, draw(ARGUMENTS[action]), who, *draw(TIMES), limit)


@given(st.lists(points(), max_size=4))
def test_a_specification_says_it_all(asked: list[Point]) -> None:
    """What a list of points is written as reads back as that list, blanks or not."""
    assert parse("; ".join(map(str, asked))) == tuple(asked)
    assert parse(";".join(map(str, asked))) == tuple(asked)


@given(st.text(alphabet="abcdeiklops._:=@#~+0123456789;- ", max_size=40) | st.text(max_size=30))
def test_any_text_is_a_specification_or_a_sentence(text: str) -> None:
    """Nothing else comes out than points, or ConfigError."""
    try:
        assert all(point.name in NAMES for point in parse(text))
    except ConfigError as error:
        assert str(error).startswith(f"{SPEC}: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("spool.befor_commit=kill", "did you mean spool.before_commit? there are worker.before_push, worker.after_push, "),
        ("nothing=kill", "there is no such failpoint (there are worker.before_push"),
        ("spool.before_commit", "it is not of the form"),
        ("spool.before_commit=explode", "it can do kill, exit, sleep, error, hang, not explode"),
        ("spool.before_commit=kill:9", "kill takes nothing after it"),
        ("spool.before_commit=hang:1", "hang takes nothing after it"),
        ("spool.before_commit=exit", "exit takes a code"),
        ("spool.before_commit=exit:256", "exit takes a code"),
        ("spool.before_commit=sleep:-1", "sleep takes seconds"),
        ("spool.before_commit=sleep:nan", "sleep takes seconds"),
        ("spool.before_commit=error:errorcode", "error takes the name of an errno"),
        ("spool.before_commit=error:EBLA", "error takes the name of an errno"),
        ("spool.before_commit=kill@0", "@ takes a number from 1"),
        ("spool.before_commit=kill@~0", "a probability"),
        ("spool.before_commit=kill@~1.5", "a probability"),
        ("spool.before_commit=kill#0", "# takes how often"),
        ("spool.before_commit=kill#1@3", "# takes how often"),
    ],
)
def test_a_misspelt_one_is_told_in_a_sentence(text: str, says: str) -> None:
    """Each fault by itself, with the place where it stands, and all of them at once."""
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        parse(f"worker.after_push=kill;{text};x")
    assert len(caught.value.problems) == 2
    assert caught.value.exit_code is Exit.CONFIG
