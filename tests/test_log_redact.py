"""What of a log call gets out: no secret, nothing that steers a terminal, nothing without bounds, and never an exception."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.config.secret import KnownSecrets, Secret, SecretFile
from edgegw.log import render
from edgegw.log.entry import MAX_LINE_bytes, json_line
from edgegw.log.redact import MAX_TEXT, Redactor
from tests.log_fakes import ListSink, make_log

SECRETS = ("pä ss/w\"ord'\\", "0,!$&x", "plain-secret")


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "quoted",
    [
        str,
        repr,
        ascii,
        json.dumps,
        quote,
        quote_plus,
        lambda s: quote(s, safe="").lower(),
        lambda s: quote(s, safe="!$&'(),"),
        lambda s: repr(s.encode()),
    ],
)
def test_secret_is_masked_in_any_quoting(secret: str, quoted: Callable[[str], str]) -> None:
    """A secret is masked raw and as Python, JSON and URL encoders of different taste write it, wherever it stands."""
    line = quoted(secret)
    redactor = Redactor(SECRETS)
    assert redactor.text(f"before {line} after").replace(quoted("***"), "***").replace("'***'", "***").replace('"***"', "***") in (
        "before *** after",
        "before b*** after",
    )
    shown = json.dumps(redactor.plain({"a": [line, (line, {line})], line: {"b": line}, "c": Path(line), "d": ValueError(line)}))
    assert line.strip("b'\"") not in shown
    assert shown.count("***") == 7


def test_secret_is_masked_in_event_fields_traceback_and_numbers() -> None:
    """No line that a sink gets holds a secret, in whichever part of the call it was."""
    sink = ListSink()
    log = make_log(sink, secrets=("hunter2", "4711", ""))
    logger = log.logger(bound="hunter2")
    try:
        raise ConnectionError("login hunter2 refused")
    except ConnectionError:
        logger.exception("said hunter2", pin=4711, given=b"hunter2", other=4712)
    log.drain()
    assert "hunter2" not in json_line(sink.entries[0]).decode()
    assert (sink.entries[0]["pin"], sink.entries[0]["other"]) == ("***", 4712)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", "***"),
        ("a reading of a sensor at 1:1, a=b", "a reading of a sensor at 1:1, a=b"),
        ("login('gw', 'a') failed", "login('gw', '***') failed"),
        ('{"pw": "a"}', '{"pw": "***"}'),
        ('said "{\\"pw\\": \\"a\\"}"', 'said "{\\"pw\\": \\"***\\"}"'),
        ("password=a user=b", "password=*** user=b"),
        ("?password=a&user=b", "?password=***&user=b"),
        ("amqp://gw:a@host/a", "amqp://gw:***@host/a"),
        ("7 of 17 at /dev/7", "7 of 17 at /dev/7"),
        ("pin='7'", "pin='***'"),
    ],
)
def test_a_very_short_secret_is_masked_as_a_value_only(text: str, shown: str) -> None:
    """A password of one letter guards nothing, and blotting it out of every word would make the log useless."""
    assert Redactor(("a", "7")).text(text) == shown


def test_a_short_number_is_no_secret_and_a_long_one_is() -> None:
    """Counts stay legible whatever the password is."""
    redactor = Redactor(("7", "4711"))
    assert redactor.plain({"attempts": 7, "pin": 4711}) == {"attempts": 7, "pin": "***"}


def test_a_rotated_password_is_masked_from_its_first_line_on(tmp_path: Path) -> None:
    """Old and new one, without a new log: whoever reveals the new one makes it known before anybody can write it."""
    file = tmp_path / "password"
    file.write_text("hunter2-old")
    secret = Secret("hunter2-old", SecretFile(file, "password"))
    sink = ListSink()
    log = make_log(sink, secrets=KnownSecrets([secret], []))
    log.logger().info("with hunter2-old")
    log.drain()
    file.write_text("another-one")
    log.logger().info(f"with hunter2-old, now {secret.reveal()}", pw=["another-one"])
    log.drain()
    assert [(entry["event"], entry.get("pw")) for entry in sink.entries] == [("with ***", None), ("with ***, now ***", ["***"])]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://gw:pw@host/edge", "amqp://gw:***@host/edge"),
        ("(amqps://gw:p@w@host:5671/)", "(amqps://gw:***@host:5671/)"),
        ("mysql://gw:p/w@db/edge", "mysql://gw:***@db/edge"),
        ("redis://:pw@host", "redis://:***@host"),
        ("rtsp://cam:8554/stream@1", "rtsp://cam:8554/stream@1"),
        ("http://host/a?b=c:d@e", "http://host/a?b=c:d@e"),
        ("at 12:30 mail a@b", "at 12:30 mail a@b"),
    ],
)
def test_password_in_a_url_is_masked(text: str, shown: str) -> None:
    """user:password@ loses its password in any URL, known as a secret or not; other colons and at-signs stay."""
    assert Redactor().text(text) == shown


def test_fields_named_as_secrets_are_masked() -> None:
    """A password, token or secret under its name is masked unseen; the name of a file with one is not."""
    redactor = Redactor()
    names = ("password", "db_password", "api_token", "Secret", "password_file", "tokens_left")
    assert [redactor.field(name, "x") for name in names] == ["***"] * 4 + ["x"] * 2
    assert redactor.plain({"url": {"password": "x"}}) == {"url": {"password": "***"}}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.just(object()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()) | st.integers(), inner, max_size=4),
)


@given(st.dictionaries(st.text(st.characters(), min_size=1), anything, max_size=5), st.text(st.characters(), min_size=1))
def test_anything_can_be_logged(fields: dict[str, object], event: str) -> None:
    """Whatever the fields hold, the line is JSON of one line, and the text for people steers no terminal."""
    sink = ListSink()
    log = make_log(sink)
    fields = {name: value for name, value in fields.items() if name not in ("self", "event", "exc_info")}
    log.logger().info("%s", event, **fields)
    log.drain()
    line = json_line(sink.entries[0])
    assert line.count(b"\n") == 1
    assert isinstance(json.loads(line), dict)
    plain = render(sink.entries[0], colour=False)
    assert plain.replace("\n" if "exception" in fields else "", "").isprintable()
    assert re.sub(r"\x1b\[\d+m", "", render(sink.entries[0], colour=True)) == plain


def test_broken_objects_do_not_break_the_log() -> None:
    """A repr that raises, a list in itself and a very long text are shown as far as they can be."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    loop: list[object] = []
    loop.append(loop)
    redactor = Redactor()
    assert redactor.plain(Broken()) == "<Broken whose repr raises RuntimeError>"
    assert redactor.plain(loop) == [[[["[[...]]"]]]]
    cut = redactor.text("a" * MAX_TEXT + "the end")
    assert "(7 characters cut)" in cut
    assert cut.endswith("the end")
    assert redactor.plain(list(range(200)))[-1] == "… 100 more"


def test_line_that_is_too_long_says_so() -> None:
    """A line stays below its bound; what is left of a longer one is when, who, what, and how much is missing."""
    sink = ListSink()
    log = make_log(sink)
    log.logger().info("much", **{f"field{number}": "x" * MAX_TEXT for number in range(5)})
    log.drain()
    line = json_line(sink.entries[0])
    assert len(line) < MAX_LINE_bytes
    assert set(json.loads(line)) == {"time", "level", "process", "event", "cut_bytes"}
    assert json.loads(line)["cut_bytes"] > 5 * MAX_TEXT
