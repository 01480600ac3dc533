"""The unit file: systemd understands all of it, and it says what the gateway's promises rest on."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.base import need

UNIT = Path(__file__).parent.parent / "systemd" / "edgegw.service"
STOP_s = 10  # the supervisor's own bound for an orderly stop

KEYS = [
    ("Unit", "StartLimitIntervalSec", "0"),  # never gives up
    ("Service", "Type", "notify"),  # started means READY
    ("Service", "NotifyAccess", "main"),  # children do not speak for the gateway
    ("Service", "Restart", "always"),
    ("Service", "RestartPreventExitStatus", "78"),  # a wrong configuration is not tried again and again
    ("Service", "KillMode", "mixed"),  # the supervisor stops its children in order
    ("Service", "OOMPolicy", "continue"),  # one worker killed for memory is one worker
    ("Service", "UMask", "0077"),
    ("Service", "RuntimeDirectory", "edgegw"),
    ("Service", "RuntimeDirectoryMode", "0700"),
    ("Service", "RuntimeDirectoryPreserve", "restart"),  # the tallies of killed workers live there
    ("Service", "StateDirectory", "edgegw"),
    ("Service", "StateDirectoryMode", "0700"),
    ("Service", "User", "edgegw"),
]


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters="=", comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys are case-sensitive
    parser.read(UNIT)
    return parser


def verify(text: str, folder: Path) -> str:
    """What systemd-analyze has to say about a unit; nothing when it is content. Its exit code is 0 even for a key it does not know."""
    path = folder / "edgegw.service"
    path.write_text(text)
    command = [need("systemd-analyze", "systemd"), "verify", "--man=no", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr + (f"exit code {done.returncode}" if done.returncode else "")


def installed(text: str) -> str:
    """The unit with a program that exists here: verify looks whether the commands are there."""
    return text.replace("=/opt/edgegw/bin/edgegw", "=/bin/true")


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """systemd-analyze verify has nothing to say."""
    assert verify(installed(UNIT.read_text()), tmp_path) == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("KillMode=", "KilMode="),
        ("Type=notify", "Type=notified"),
        ("WatchdogSec=30", "WatchdogSec=often"),
        ("ExecStart=/opt", "ExecStart=/nowhere"),
    ],
)
def test_verify_notices_what_is_wrong(before: str, after: str, tmp_path: Path) -> None:
    """The check above can fail: a misspelt key, a wrong value and an absent program are each reported."""
    text = UNIT.read_text()
    assert before in text
    assert verify(installed(text.replace(before, after)), tmp_path) != ""


@pytest.mark.parametrize(("section", "key", "value"), KEYS)
def test_key(section: str, key: str, value: str) -> None:
    """A line that a promise of the gateway rests on is there."""
    assert unit()[section][key] == value


def test_it_runs_in_the_foreground_with_the_documented_file() -> None:
    """systemd watches the supervisor itself, and the configuration is the one that the documentation names."""
    words = unit()["Service"]["ExecStart"].split()
    assert words[0] == "/opt/edgegw/bin/edgegw"
    assert words[1:] == ["start", "--foreground", "--config", "/etc/edgegw/edgegw.toml"]
    command = [sys.executable, "-m", "edgegw", "start", "--help"]
    spoken = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "--foreground" in spoken
    assert "--config" in spoken


def test_systemd_waits_longer_than_the_gateway_needs() -> None:
    """The time-outs leave room for an orderly stop, and for a watchdog that is fed at half its interval."""
    service = unit()["Service"]
    assert int(service["TimeoutStopSec"]) > STOP_s
    assert int(service["WatchdogSec"]) >= 10


def test_it_waits_neither_for_the_network_nor_for_the_time() -> None:
    """A gateway without a network or NTP starts all the same."""
    after = unit()["Unit"]["After"].split()
    assert not {"network-online.target", "time-sync.target"} & set(after)
    assert not {"Requires", "Wants", "BindsTo"} & set(unit()["Unit"])
