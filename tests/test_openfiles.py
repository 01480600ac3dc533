"""When the tap takes listeners: a table of moments, and the kernel's own count."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Sequence

import pytest

from edgegw.bridge.openfiles import LISTENERS, CALM_ns, OpenFiles, OWN_files
from tests.log_fakes import ListSink, make_log

SENSORS = 8
MOST = OWN_files + SENSORS + LISTENERS
LOW = MOST * 3 // 4
SHUT, OPEN = "tap_takes_no_more", "tap_takes_listeners"


@pytest.mark.parametrize(
    ("moments", "admitted", "told"),
    [
        ([(0, 40), (1, MOST)], [True, True], []),
        ([(0, 40), (1, MOST + 1), (2, MOST + 9)], [True, False, False], [SHUT]),
        ([(0, MOST + 1), (CALM_ns, LOW + 1), (2 * CALM_ns, LOW)], [False, False, True], [SHUT, OPEN]),
        ([(0, MOST + 1), (CALM_ns - 1, LOW), (CALM_ns, LOW)], [False, False, True], [SHUT, OPEN]),
        ([(0, MOST + 1), (CALM_ns, LOW), (CALM_ns + 1, MOST), (CALM_ns + 2, MOST + 1)], [False, True, True, False], [SHUT, OPEN, SHUT]),
    ],
)
def test_it_is_shut_and_open_again(moments: Sequence[tuple[int, int]], admitted: Sequence[bool], told: Sequence[str]) -> None:
    """Above the bound it shuts; at three quarters, and not at once, it opens. Each turn is told once."""
    sink = ListSink()
    log = make_log(sink)
    files = OpenFiles(SENSORS, log.logger())
    assert [files.admits(now_ns, count) for now_ns, count in moments] == admitted
    assert bool(files.why) is not admitted[-1]
    log.drain()
    assert sink.events() == told


def test_the_kernel_counts_and_its_limit_counts() -> None:
    """As many sensors as nobody has would allow more than this process may have: then three quarters of that are the bound."""
    log = make_log(ListSink())
    now = len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * (now + 100), hard))
    try:
        files = OpenFiles(10_000, log.logger())
        assert files.admits(0)
        with contextlib.ExitStack() as held:
            for _ in range(now // 2 + 155):
                held.enter_context(open("/dev/null", "rb"))
            assert not files.admits(1)
        assert files.admits(1 + CALM_ns)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
