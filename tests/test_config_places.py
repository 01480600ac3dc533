"""Where the configuration, the sockets and the state are when nobody says, for root, for users and under systemd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgegw.config import default_path, locate
from edgegw.config.places import SYSTEM_FILE, defaults
from edgegw.errors import ConfigError

PI = 1000
NOBODY_KNOWS = 3_999_999_999  # a user id without an entry in the user database


def test_the_configuration_file_that_is_taken(tmp_path: Path) -> None:
    """$EDGEGW_CONFIG; else the system's for root, and for all where it exists; else the user's own."""
    there, absent = tmp_path / "edgegw.toml", tmp_path / "absent" / "edgegw.toml"
    there.touch()
    home = {"HOME": "/home/pi"}
    assert default_path({"EDGEGW_CONFIG": "/x.toml", **home}, 0, system=there) == Path("/x.toml")
    assert default_path({"EDGEGW_CONFIG": "", **home}, 0, system=absent) == absent
    assert default_path(home, PI, system=there) == there
    assert default_path(home, PI, system=absent) == Path("/home/pi/.config/edgegw/edgegw.toml")
    assert default_path({"XDG_CONFIG_HOME": "/cfg", **home}, PI, system=absent) == Path("/cfg/edgegw/edgegw.toml")
    assert default_path({"XDG_CONFIG_HOME": "relative", **home}, PI, system=absent) == Path("/home/pi/.config/edgegw/edgegw.toml")
    assert default_path({}, NOBODY_KNOWS, system=absent) == absent


@pytest.mark.parametrize(
    ("file", "environ", "euid", "runtime", "state"),
    [
        ("x.toml", {}, 0, "/run/edgegw", "/var/lib/edgegw"),
        ("x.toml", {"XDG_RUNTIME_DIR": "/run/user/0"}, 0, "/run/edgegw", "/var/lib/edgegw"),
        (str(SYSTEM_FILE), {"XDG_RUNTIME_DIR": "/run/user/1000"}, PI, "/run/edgegw", "/var/lib/edgegw"),
        ("x.toml", {"RUNTIME_DIRECTORY": "/run/a:/run/b", "STATE_DIRECTORY": "/var/lib/a"}, PI, "/run/a", "/var/lib/a"),
        ("x.toml", {"XDG_RUNTIME_DIR": "/run/user/1000", "HOME": "/h"}, PI, "/run/user/1000/edgegw", "/h/.local/state/edgegw"),
        ("x.toml", {"XDG_STATE_HOME": "/s", "HOME": "/h"}, PI, "/tmp/edgegw-1000", "/s/edgegw"),
        ("x.toml", {"XDG_STATE_HOME": "s", "XDG_RUNTIME_DIR": "r", "HOME": "h"}, PI, "/tmp/edgegw-1000", None),
        ("x.toml", {}, NOBODY_KNOWS, f"/tmp/edgegw-{NOBODY_KNOWS}", None),
    ],
)
def test_the_directories_that_are_taken(file: str, environ: dict[str, str], euid: int, runtime: str, state: str | None) -> None:
    """What systemd gives wins; root and the system's file mean the system's directories, anything else the user's."""
    found = defaults(Path(file), environ, euid)
    assert (found["runtime_dir"], found.get("state_dir")) == (runtime, state)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("raspberrypi", "raspberrypi"),
        ("Pi-7.Site_2.example", "pi-7-site_2-example"),
        ("(none)", "none"),
        ("...", "gateway"),
        ("x" * 64, "x" * 64),
    ],
)
def test_the_host_name_is_made_safe(host: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway without an id is called after its host, in the characters that routing keys and rows allow."""
    real = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((real.sysname, host, real.release, real.version, real.machine)))
    assert defaults(Path("x.toml"), {}, 0)["id"] == name


def test_a_gateway_is_found_though_its_file_is_wrong(tmp_path: Path) -> None:
    """Unknown keys, missing sensors and wrong values elsewhere do not hide where the gateway lives; drop-ins and variables count."""
    file = tmp_path / "edgegw.toml"
    file.write_text('[gateway]\nruntime_dir = "run"\nstate_dir = "/state"\nlog_level = 7\n[sensors]\nx = 1\n')
    assert locate(file, environ={}).runtime == tmp_path / "run"
    assert locate(file, environ={"EDGEGW_STATE_DIR": "/other"}).state == Path("/other")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text('[gateway]\nruntime_dir = "/run/dropped-in"\n')
    assert locate(file, environ={}).control == Path("/run/dropped-in/control.sock")


def test_a_named_file_that_cannot_be_read_is_no_reason_to_guess(tmp_path: Path) -> None:
    """A mistyped -c must not reach the gateway at the default place; an explicit directory in the environment is no guess."""
    for name in ("absent.toml", "broken.toml"):
        (tmp_path / "broken.toml").write_text("[")
        with pytest.raises(ConfigError):
            locate(tmp_path / name, environ={})
        with pytest.raises(ConfigError):
            locate(None, environ={"EDGEGW_CONFIG": str(tmp_path / name)})
        environ = {"EDGEGW_RUNTIME_DIR": "/run/x", "STATE_DIRECTORY": "/s", "HOME": "/h"}
        assert locate(tmp_path / name, environ=environ).runtime == Path("/run/x")
