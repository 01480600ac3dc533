"""A right configuration made wrong in every way that a hand can: each fault is told at its key, and nothing ever crashes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegw import config
from edgegw.errors import ConfigError, Problem
from tests.config_cases import HERE, options_of

RIGHT = """\
[gateway]
id = "pi-7"
runtime_dir = "/run/edgegw"
state_dir = "/var/lib/edgegw"
log_level = "info"
linger_s = 0.05

[spool]
max_bytes = 2_000_000

[sensors.front]
driver = "lidar"
port = "/dev/ttyUSB0"
baud = 9600
rate_hz = 100
echo = false
linger_s = 0.2
window = 64
on_full = "drop_newest"

[sensors.imu]
driver = "imu"
bus = 1
address = 0x69

[sinks.rabbitmq]
url = "amqps://gw@broker/edge"
password_file = "password"
exchange = "x"
queue = "q"
declare = false
format = "msgpack"
heartbeat_s = 60
ca_file = "ca.pem"

[sinks.mysql]
url = "mysql://gw@db/edge"
password_file = "password"
socket = "mysqld.sock"
tls = "verify"
ca_file = "ca.pem"
batch_rows = 5000

[sinks.sqlite]
path = "store.db"
"""
BEYOND = {  # key → values one step beyond its range, or no choice of it
    "linger_s": ("0.0009", "5.001"),
    "max_bytes": ("999_999", "1_099_511_627_777"),
    "rate_hz": ("0.19", "250.1"),
    "window": ("63", "1_000_001"),
    "heartbeat_s": ("4", "301"),
    "batch_rows": ("0", "5001"),
    "address": ("0x67", "0x6a"),
    "bus": ("-1",),
    "baud": ("9601",),
    "id": ('""', '"Pi"', '"a.b"', f'"{"x" * 65}"', '"a\\n"'),
    "log_level": ('"INFO"',),
    "on_full": ('"drop"',),
    "format": ('"xml"',),
    "tls": ('"no"',),
    "driver": ('"nothing"',),
    "exchange": ('""', f'"{"x" * 256}"'),
    "queue": ('""',),
}


class Mutation(NamedTuple):
    """A line of RIGHT, made wrong."""

    line: int
    key: str  # dotted, as it should be reported
    text: str
    must_say: str
    consequences: tuple[str, ...] = ()  # what else may rightly be told when the key is not there any more

    def __str__(self) -> str:
        return f"{self.line}-{self.key}"


def mutations() -> Iterator[Mutation]:
    section = ""
    for number, line in enumerate(RIGHT.splitlines(), 1):
        if header := re.fullmatch(r"\[(.+)\]", line):
            section = header[1]
        if pair := re.fullmatch(r"(\w+) = (.+)", line):
            key, value = pair.groups()
            wrong_type = "[1]" if value.startswith('"') else '"text"'
            for misspelt in (f"{key}x", key[0] + key[2:]):
                yield Mutation(number, f"{section}.{misspelt}", f"{misspelt} = {value}", key, ("is missing", "no password", "without TLS"))
            yield Mutation(number, f"{section}.{key}", f"{key} = {wrong_type}", "expected")
            for beyond in BEYOND.get(key, ()):
                yield Mutation(number, f"{section}.{key}", f"{key} = {beyond}", "")


MUTATIONS = list(mutations())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config")
    (path / "password").write_text("x")
    (path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    return path


def load(folder: Path, content: str | bytes, **more: Any) -> list[Problem]:
    """The problems that a file of this content has; nothing but a ConfigError may come."""
    file = folder / "edgegw.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        found = config.load(file, environ={"HOME": "/home/pi", **more.get("environ", {})}, options_of=options_of)
    except ConfigError as error:
        assert error.problems
        return list(error.problems)
    repr(found)
    return []


def test_there_are_enough_mutations() -> None:
    """Every key is misspelt twice, given a wrong type, and taken beyond each end of its range: well over fifty files."""
    assert len(MUTATIONS) >= 120
    assert set(BEYOND) <= set(re.findall(r"^(\w+) =", RIGHT, re.MULTILINE))


def test_the_file_that_is_mutated_is_right(folder: Path) -> None:
    """Without a mutation there is no problem, so each one found comes from its mutation."""
    assert load(folder, RIGHT) == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mutation_is_told_at_its_key(folder: Path, mutation: Mutation) -> None:
    """One problem names the mutated key and its line; there is no other, unless it says what the misspelt key leaves missing."""
    lines = RIGHT.splitlines()
    lines[mutation.line - 1] = mutation.text
    found = load(folder, "\n".join(lines))
    told = [problem for problem in found if (problem.line, problem.key) == (mutation.line, mutation.key)]
    assert len(told) == 1, "\n".join(map(str, found)) or "no problem at all"
    assert mutation.must_say in str(told[0])
    more = [problem for problem in found if problem not in told]
    assert [problem for problem in more if not any(words in problem.what for words in mutation.consequences)] == []


@given(text=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_settings_or_problems(folder: Path, text: str) -> None:
    """Whatever stands in the file, load() answers with Settings or a ConfigError; so it does for the text as a driver's key."""
    load(folder, text.encode(errors="surrogatepass"))


@given(content=st.binary())
def test_any_bytes_are_settings_or_problems(folder: Path, content: bytes) -> None:
    """The same for bytes that are no text."""
    load(folder, content)


SLICES = st.tuples(st.integers(0, len(RIGHT)), st.integers(0, 40), st.one_of(st.text(max_size=6), st.sampled_from(list("[]{}\"'#=.,\n\\"))))


@given(slices=st.lists(SLICES, min_size=1, max_size=4))
def test_a_file_damaged_anywhere_is_settings_or_problems(folder: Path, slices: list[tuple[int, int, str]]) -> None:
    """Pieces cut out of a right file, and others put in: Settings or problems, each within the file's lines."""
    text = RIGHT
    for start, length, put in slices:
        text = text[:start] + put + text[start + length :]
    problems = load(folder, text.encode(errors="surrogatepass"))
    assert all(0 <= problem.line <= text.count("\n") + 1 for problem in problems)


BARE = st.sampled_from(
    ["1", "-1", "0.5", "nan", "-inf", "true", "1979-05-27", "07:32:00", "9" * 400, "0x" + "f" * 5000, "1e999", "{}", "[]"]
)
VALUES = st.one_of(
    BARE,
    st.builds("[{}, {}]".format, BARE, BARE),
    st.builds("{{a = {}, driver = {}}}".format, BARE, BARE),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="'"), max_size=12).map(lambda text: f"'{text}'"),
    st.sampled_from(["'lidar'", "'imu'", "'virtual'", "'amqp://a:b@c/d'", "'mysql://@'", "'~'", "'\"'", '"\\u0000"', '"\\r\\n"', "'::1'"]),
)
KEYS = st.sampled_from(
    [
        "driver",
        "port",
        "window",
        "url",
        "password_file",
        "path",
        "id",
        "runtime_dir",
        "tls",
        "'a b'",
        '""',
        '"\\n"',
        "front",
        "rabbitmq",
        "mysql",
    ]
)
HEADERS = st.sampled_from(
    [
        "gateway",
        "sensors",
        "sensors.front",
        "sensors.''",
        'sensors."\\u0007"',
        "sinks",
        "sinks.rabbitmq",
        "sinks.mysql",
        "sinks.sqlite",
        "spool",
    ]
)


@given(
    sections=st.dictionaries(HEADERS, st.dictionaries(KEYS, VALUES, max_size=5), max_size=5), flat=st.dictionaries(KEYS, VALUES, max_size=2)
)
def test_any_value_at_any_key_is_settings_or_problems(folder: Path, sections: dict[str, dict[str, str]], flat: dict[str, str]) -> None:
    """Valid TOML with any value at any key: Settings or problems, and every problem can be printed."""
    body = ["".join(f"{key} = {value}\n" for key, value in flat.items())]
    body += [f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) for name, keys in sections.items()]
    for problem in load(folder, "".join(body).encode()):
        assert str(problem).encode()
        assert "\n" not in str(problem)


@given(values=st.dictionaries(st.sampled_from(["EDGEGW_GATEWAY_ID", "EDGEGW_RUNTIME_DIR", "RUNTIME_DIRECTORY", "EDGEGW_MYSQL_PASSWORD",
                                               "CREDENTIALS_DIRECTORY", "XDG_RUNTIME_DIR", "HOME"]), st.text()))  # fmt: skip
def test_any_environment_is_settings_or_problems(folder: Path, values: dict[str, str]) -> None:
    """What stands in the environment is judged like what stands in the file."""
    load(folder, (HERE / "mysql.toml").read_text().replace("#!", "#"), environ=values)
    load(folder, "[sensors.front]\ndriver = 'lidar'\nport = 'virtual'\n", environ=values)
