"""The configuration: what is wrong is told wholly and in place; what is right is laid over each other in the right order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgegw import config
from edgegw.config import Settings
from edgegw.errors import ConfigError, Problem
from tests.config_cases import HERE, marks, options_of

CASES = sorted(HERE.glob("*.toml"))
SENSOR = '[sensors.front]\ndriver = "lidar"\nport = "virtual"\n'


def load(path: Path, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    environ = {"HOME": "/home/pi", **(environ or {})}
    return config.load(path, environ=environ, overrides=overrides, options_of=options_of, fields_of=lambda _: ("distance_m", "strength"))


def problems(path: Path, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ, overrides)
    return list(caught.value.problems)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edgegw.toml"
    path.write_text(SENSOR)
    return path


def drop_in(file: Path, name: str, text: str) -> Path:
    path = file.parent / "conf.d" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_every_fault_is_told_with_its_line_key_and_remedy(case: Path) -> None:
    """A faulty file gives exactly the problems that its marks announce, in file order, each naming the file."""
    expected = marks(case.read_text())
    found = problems(case)
    pairs = list(zip(expected, found, strict=False))
    wrong = [f"announced {mark}\n     got {problem!r}" for mark, problem in pairs if not mark.fits(problem)]
    assert expected
    assert not wrong, "\n".join(wrong)
    assert len(expected) == len(found), "\n".join(map(str, found))
    assert {problem.file for problem in found} == {str(case)}


def test_ten_faults_are_ten_problems() -> None:
    """The case with ten faults of ten kinds is not watered down: ten problems, ten lines, ten sentences; exit code 78."""
    with pytest.raises(ConfigError) as caught:
        load(HERE / "ten_of_ten_kinds.toml")
    found = caught.value.problems
    assert len(found) == len({problem.line for problem in found}) == len({problem.what for problem in found}) == 10
    assert str(caught.value).count("\n") == 9
    assert int(caught.value.exit_code) == 78


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (b"\xff\xfe[\x00", 1, "not UTF-8"),
        (b'[gateway]\nid = "caf\xe9"\n', 2, "not UTF-8"),
        (b"# " + b"x" * (1 << 20), 0, "larger than 1 MiB"),
        (b"x = " + b"9" * 5000, 0, "more digits"),
        (b"x = " + b"[" * 100_000, 0, "nests deeper"),
        (b"x = " + b"[" * 300 + b"]" * 300, 0, ""),
        (b"", 0, "no sensor is configured"),
        (b"\0" * 100, 1, "not valid TOML"),  # what a power cut leaves of a file that was being written
    ],
)
def test_a_file_that_is_none_is_one_problem(file: Path, content: bytes, line: int, what: str) -> None:
    """Garbage, an empty file, numbers and nesting beyond all measure: one problem, never a traceback."""
    file.write_bytes(content)
    (problem, *_) = problems(file)
    assert what in problem.what
    assert problem.line == line or not what


def test_a_key_nested_without_end_is_one_problem(file: Path) -> None:
    """Dotted keys need no brackets, so tomllib takes any depth of them: refused, for what prints or compares it would break."""
    file.write_text('[sensors.eye]\ndriver = "camera"\nsource = "x"\nhints' + ".a" * 2000 + " = 1\n")
    assert [(problem.line, problem.what) for problem in problems(file)] == [(4, "nests deeper than any configuration needs")]


def test_a_byte_order_mark_is_forgiven(file: Path) -> None:
    """A file saved by an editor that puts a byte order mark first is read, and its lines still count from one."""
    file.write_bytes(b"\xef\xbb\xbf" + SENSOR.encode() + b"rate_hz = 0\r\n")
    assert [(problem.line, problem.key) for problem in problems(file)] == [(4, "sensors.front.rate_hz")]


def test_an_absent_file_or_a_directory_is_one_problem(tmp_path: Path) -> None:
    """Naming nothing, or a directory, says so and says how to name a file."""
    (absent,) = problems(tmp_path / "nope.toml")
    assert (absent.line, absent.key) == (0, "")
    assert "does not exist" in absent.what
    assert "-c FILE" in absent.suggestion
    (folder,) = problems(tmp_path)
    assert "is a directory" in folder.what


def test_a_file_that_may_not_be_read_says_so(file: Path) -> None:
    """A file of another user's is one problem, which names the user that we are."""
    file.chmod(0)
    euid = os.geteuid()
    if euid == 0:  # root reads everything
        os.seteuid(65534)
    try:
        problem, *_ = problems(file)  # its directory may be another user's as well
    finally:
        os.seteuid(euid)
    assert "may not be read by this user (uid " in problem.what


def test_a_file_that_any_user_may_write_is_refused(file: Path) -> None:
    """The file names the code that runs; one that everybody may write is refused, with the remedy."""
    file.chmod(0o646)
    (problem,) = problems(file)
    assert problem.suggestion == f"chmod o-w {file}"


def test_a_minimal_file_has_every_default(file: Path) -> None:
    """A sensor's driver and device are enough; the embedded store is on when no other sink is configured."""
    settings = load(file, {"RUNTIME_DIRECTORY": "/run/edgegw:/run/more", "STATE_DIRECTORY": "/var/lib/edgegw"})
    (front,) = settings.sensors
    assert (front.name, front.driver, front.linger_s, front.window, front.on_full) == ("front", "lidar", 0.1, 4096, "drop_oldest")
    assert front.options.port == "virtual"
    assert settings.sensor("front") is front
    assert settings.sensor("rear") is None
    assert (settings.gateway.log_level, settings.gateway.linger_s, settings.spool.max_bytes) == ("info", 0.1, 1 << 30)
    assert settings.sinks.sqlite is not None
    assert settings.sinks.sqlite.path == settings.paths.store == Path("/var/lib/edgegw/store.db")
    assert settings.sinks.rabbitmq is None
    assert settings.sinks.mysql is None
    assert settings.paths.control == Path("/run/edgegw/control.sock")
    assert settings.sources == (file,)


def test_settings_cannot_be_changed_and_compare_by_value(file: Path) -> None:
    """The same file gives equal Settings, which is what a reload compares; nobody can alter them underway."""
    settings = load(file)
    assert settings == load(file)
    with pytest.raises(AttributeError):
        settings.gateway.linger_s = 1  # type: ignore[misc]
    file.write_text(SENSOR + "rate_hz = 50\n")
    assert settings != load(file)


def test_flags_win_over_environment_over_drop_ins_over_the_file(file: Path) -> None:
    """Key by key, each layer wins over the one before; drop-ins in lexical order; hidden and other files are none."""
    file.write_text(SENSOR + '[gateway]\nid = "a"\nlog_level = "error"\nlinger_s = 1\nruntime_dir = "/a"\nstate_dir = "/a"\n')
    first = drop_in(file, "10-a.toml", '[gateway]\nid = "b"\nlog_level = "info"\nlinger_s = 2\n[sensors.front]\nrate_hz = 5\n')
    second = drop_in(file, "20-b.toml", "[gateway]\nlinger_s = 3\n[sensors.rear]\ndriver = 'lidar'\nport = '/dev/x'\n")
    drop_in(file, ".hidden.toml", "not toml")
    drop_in(file, "30-c.toml~", "not toml")
    environ = {"EDGEGW_LOG_LEVEL": "warning", "EDGEGW_STATE_DIR": "/env", "EDGEGW_GATEWAY_ID": ""}
    settings = load(file, environ, {"gateway.log_level": "debug", "sensors.rear.rate_hz": 7, "gateway.id": None})
    gateway = settings.gateway
    assert (gateway.id, gateway.linger_s, gateway.log_level) == ("b", 3, "debug")
    assert (gateway.runtime_dir, gateway.state_dir) == (Path("/a"), Path("/env"))
    assert [(sensor.name, sensor.options.rate_hz) for sensor in settings.sensors] == [("front", 5), ("rear", 7)]
    assert settings.sources == (file, first, second)


def test_drop_ins_win_in_lexical_order(file: Path) -> None:
    """The last name wins, in whatever order the directory gives its entries."""
    for number in (7, 3, 9, 1, 5, 8, 2, 6, 4):
        drop_in(file, f"{number}.toml", f'[gateway]\nid = "from-{number}"\n')
    settings = load(file)
    assert settings.gateway.id == "from-9"
    assert [source.stem for source in settings.sources[1:]] == list("123456789")


def test_a_problem_names_the_layer_it_came_from(file: Path) -> None:
    """A fault in a drop-in, a variable or a flag is told with that drop-in and its line, that variable, that flag."""
    first = drop_in(file, "a.toml", "# first\n[sensors.front]\nport = ''\nwindow = { a = 1 }\n")
    second = drop_in(file, "b.toml", "[sensors.front]\n\nwindow = 'b'\n")
    found = problems(file, {"EDGEGW_LOG_LEVEL": "loud", "EDGEGW_GATEWAY_ID": "?"}, {"sensors.front.linger_s": -1})
    assert [(problem.file, problem.line, problem.key) for problem in found] == [
        (str(first), 3, "sensors.front.port"),
        (str(second), 3, "sensors.front.window"),
        ("$EDGEGW_GATEWAY_ID", 0, "gateway.id"),
        ("$EDGEGW_LOG_LEVEL", 0, "gateway.log_level"),
        ("command line", 0, "sensors.front.linger_s"),
    ]


def test_every_file_that_does_not_parse_is_told(file: Path) -> None:
    """Two broken drop-ins are two problems, though nothing else can be checked then."""
    paths = [drop_in(file, name, "[") for name in ("a.toml", "b.toml")]
    assert [problem.file for problem in problems(file)] == [str(path) for path in paths]


def test_relative_paths_count_from_the_file_they_stand_in(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path in a drop-in counts from the drop-in's directory, one in the environment from the current directory."""
    file.write_text(SENSOR + '[gateway]\nruntime_dir = "run"\n')
    drop_in(file, "a.toml", '[sinks.sqlite]\npath = "s.db"\n')
    monkeypatch.chdir(file.parent / "conf.d")
    settings = load(file, {"EDGEGW_STATE_DIR": "state"})
    assert settings.paths.runtime == file.parent / "run"
    assert settings.paths.state == file.parent / "conf.d" / "state"
    assert settings.sinks.sqlite is not None
    assert settings.sinks.sqlite.path == file.parent / "conf.d" / "s.db"


@pytest.mark.parametrize(("length", "fits"), [(94, True), (95, False)])
def test_the_runtime_directory_leaves_room_for_a_socket(file: Path, length: int, fits: bool) -> None:
    """107 bytes are all that a socket's path may have, name and slash included; a multi-byte letter counts as it is encoded."""
    folder = "/" + "é" * 10 + "x" * (length - 21)
    file.write_text(SENSOR + f'[gateway]\nruntime_dir = "{folder}"\n')
    if fits:
        assert len(os.fsencode(load(file).paths.control)) == 107
    else:
        assert [(problem.line, problem.key) for problem in problems(file)] == [(5, "gateway.runtime_dir")]


@pytest.mark.parametrize(("window", "fits"), [(64, False), (2499, False), (2500, True)])
def test_a_window_has_to_hold_what_is_read_between_two_commits(file: Path, window: int, fits: bool) -> None:
    """Where the rate is known: 250 readings a second and a commit every 5 s need 2500, and the sentence says so."""
    file.write_text(SENSOR.replace("virtual", "/dev/x") + f"rate_hz = 250\nwindow = {window}\n[spool]\ncommit_s = 5\n")
    if fits:
        assert load(file).spool.commit_s == 5
        return
    (problem,) = problems(file)
    assert (problem.line, problem.key) == (5, "sensors.front.window")
    assert "commit_s in [spool] is 5 s" in problem.what
    assert problem.suggestion == "window = 2500 at least, or a smaller commit_s"


def test_the_policies_of_a_full_spool_are_the_sensors_own(file: Path) -> None:
    """By default everybody waits and nobody has a share of his own."""
    file.write_text(SENSOR + 'spool_full = "drop_oldest"\nspool_max_bytes = 5000000\n')
    assert [(each.spool_full, each.spool_max_bytes) for each in load(file).sensors] == [("drop_oldest", 5_000_000)]
    file.write_text(SENSOR)
    assert [(each.spool_full, each.spool_max_bytes) for each in load(file).sensors] == [("block", 0)]
    file.write_text(SENSOR + 'spool_full = "drop"\n')
    (problem,) = problems(file)
    assert problem.key == "sensors.front.spool_full"
