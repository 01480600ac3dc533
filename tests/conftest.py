"""What every test gets: the private servers, hypothesis profiles, and a check that it leaves no process behind."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import hypothesis
import psutil
import pytest

from tests.services.base import is_service, until

SERVICES = ("tests.services.mariadb", "tests.services.rabbitmq", "tests.services.rabbitmq_sink")
pytest_plugins = [name for name in SERVICES if importlib.util.find_spec(name)]

LEAVE_s = 10

# No deadline per example: a busy machine is no finding.
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")


@pytest.fixture(autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Fails a test whose child processes, reaped or not, are still there after it; servers of the session are not meant."""
    before = set(_children())
    yield
    try:
        until(lambda: set(_children()) <= before, LEAVE_s, "the test's child processes to be gone")
    except AssertionError:
        left = [child for child in _children() if child not in before]
        described = [_describe(child) for child in left]
        for child in left:
            child.kill()
        pytest.fail(f"the test left processes behind: {described}", pytrace=False)


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if not is_service(child)]


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.status()} {' '.join(process.cmdline())}"
    except psutil.Error:
        return str(process.pid)
