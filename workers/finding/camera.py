"""Cameras: USB ones by the names that stay, and those on a ribbon cable as libcamera lists them. No camera is opened."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from edgegw.driver import Found
from edgegw.errors import DeviceError
from workers.finding.usb import behind, line, links

TITLE = "Cameras"
CHECK = "is the USB camera plugged in? A ribbon cable is looked at when the machine boots: check both ends, and reboot"

LISTERS = ("rpicam-hello", "libcamera-hello")  # the second is its name before Debian 12
# 0 : imx477 [4056x3040 12-bit RGGB] (/base/soc/i2c0mux/i2c@1/imx477@1a)
_LISTED = re.compile(r"^\s*(?P<index>\d+) : (?P<model>.+?) \[(?P<size>[^\]]*)\] \((?P<path>[^)]*)\)\s*$", re.MULTILINE)


def find(seconds: float, root: Path = Path("/")) -> Iterator[Found]:
    """USB cameras, then ribbon cables. Raises DeviceError when libcamera's program fails or takes longer than `seconds`."""
    yield from _usb(root)
    lister = next(filter(None, map(shutil.which, LISTERS)), None)
    if lister:
        yield from listed(_output(lister, seconds))


def _usb(root: Path) -> Iterator[Found]:
    """Nodes that give pictures: a USB camera's first one (index 0); its second gives metadata only."""
    by_id, by_path = links(root / "dev/v4l/by-id"), links(root / "dev/v4l/by-path")
    classes = root / "sys/class/video4linux"
    for entry in sorted(classes.iterdir()) if classes.is_dir() else ():
        usb = behind(entry)
        node = root / "dev" / entry.name
        if usb and node.exists() and line(entry / "index") in ("", "0"):
            where = f"/{(by_id.get(node) or by_path.get(node) or node).relative_to(root)}"
            yield Found(
                bus="camera",
                where=where,
                what=line(entry / "name") or usb.name,
                detail=f"/dev/{entry.name}, USB {usb.ids}",
                driver="camera",
                options={"source": where},
            )


def _output(lister: str, seconds: float) -> str:
    """What it says; the list was on stderr once, and is on stdout now."""
    command, nobody = [lister, "--list-cameras"], subprocess.DEVNULL
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, stdin=nobody)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"{lister} does not answer within {seconds:g} s: does a program hold the camera, does the cable sit?") from error
    except OSError as error:
        raise DeviceError(f"{lister} cannot be run: {error.strerror}") from error
    said = f"{done.stdout}\n{done.stderr}"
    if done.returncode and "no cameras available" not in said.lower():
        last = (said.strip().splitlines() or ["and says nothing"])[-1]
        raise DeviceError(f"{lister} fails with exit code {done.returncode}: {last.strip()}")
    return said


def listed(said: str) -> Iterator[Found]:
    """Cameras on ribbon cables; libcamera lists USB cameras, too, which are found without it."""
    for match in _LISTED.finditer(said):
        if "usb" not in match["path"]:
            where = "rpicam" if match["index"] == "0" else f"rpicam:{match['index']}"
            detail = f"{match['size']}, {match['path']}"
            yield Found(bus="camera", where=where, what=match["model"], detail=detail, driver="camera", options={"source": where})
