"""What rpicam-vid's words on stderr, and the way it ended, mean to the operator. Pure: lines in, a sentence out."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

# As rpicam-apps and libcamera have them.
_MEANINGS = (
    ("no cameras available", "no camera is found on the ribbon cable: check both ends and reboot; is the user in the group video?"),
    ("selected camera is not available", "there is no camera of that number: see rpicam-hello --list-cameras"),
    ("in use by another process|failed to acquire camera", "another program holds the camera: end it, or name another camera"),
    ("unrecognised option", "this rpicam-vid is too old for what is asked of it: sudo apt update && sudo apt full-upgrade"),
    ("legacy camera stack", "the system is set up for the old camera software: switch that off in raspi-config, and reboot"),
    ("only supports the Raspberry Pi", "this is no Raspberry Pi that rpicam-vid knows: name a USB camera or a stream"),
    ("permission denied", "no permission: add the user that the gateway runs as to the group video"),
    ("failed to allocate|cannot allocate memory", "there is not enough memory for its pictures: ask for a smaller width_px and height_px"),
    ("timed out|device timeout detected|dequeue timer", "frames stop coming over the ribbon cable: check its seat and the power"),
    ("invalid mode|failed to valid|failed to configure streams", "the camera has no such mode or size: see rpicam-hello --list-cameras"),
)
_ERROR = re.compile(r"ERROR: \*\*\* (.+) \*\*\*|(?:ERROR|FATAL|error while loading) +(.+)")


def meaning(said: Sequence[str]) -> str:
    """What to do about it, by the newest line that is known; "" where none is."""
    for line in reversed(said):
        for pattern, what in _MEANINGS:
            if re.search(pattern, line, re.IGNORECASE):
                return what
    return ""


def last_words(said: Sequence[str]) -> str:
    """The error that it named last; "" where there is none. What is for information only says nothing of the end."""
    errors = (_ERROR.search(line) for line in reversed(said))
    return next((found[1] or found[2] for found in errors if found), "")


def ended(program: str, code: int | None, said: Sequence[str]) -> str:
    """Why it ended: `code` as subprocess has it, None where it only closed its output."""
    if code is None:
        how = "gives no more pictures"
    elif code < 0:
        how = f"crashed ({_signal(-code)})"
    else:
        how = f"ended with exit code {code}"
    words = last_words(said)
    what = meaning(said) or (f"it said last: {words}" if words else "it did not say why; run rpicam-hello to see")
    return f"{program} {how}: {what}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
