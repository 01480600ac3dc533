"""A program whose output is read: it dies with us, what it complains of is kept, and it is ended in steps of bounded length."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError

# rpicam-vid looks for SIGINT after each frame, has no handler for SIGTERM, and whatever hangs in the kernel minds nothing for a while.
STEPS = ((signal.SIGINT, 2.0), (signal.SIGTERM, 1.0), (signal.SIGKILL, 1.0))
PIPE_bytes = 1 << 20  # what an ordinary user may ask for, /proc/sys/fs/pipe-max-size; the 64 kB of a new pipe are refilled 21 times a frame
SAID_lines, SAID_chars = 40, 300
_CHUNK_bytes = 1 << 16


class Child:
    """The running program; to be used in the thread that made it, but for interrupt()."""

    def __init__(self, command: Callable[[str], Sequence[str]]) -> None:
        """`command` is given the name of a file that the program may write notes to. Raises DeviceError where it cannot be started."""
        notes, writing = os.pipe()
        arguments = command(f"/dev/fd/{writing}")
        try:
            self._process = _started(arguments, writing)
        except BaseException:
            os.close(notes)
            raise
        finally:
            os.close(writing)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.out = self._process.stdout.fileno()
        self._err, self._notes = self._process.stderr.fileno(), notes
        self._name = arguments[0]
        self._flowing = {self.out, self._err, self._notes}
        self._pid = os.pidfd_open(self._process.pid)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.interrupted = False
        self.noted = bytearray()  # notes that nobody has taken yet
        self._said: deque[str] = deque(maxlen=SAID_lines)
        self._line = b""
        self._poll = select.poll()
        for file in (*self._flowing, self._wake):
            self._poll.register(file, select.POLLIN)
            os.set_blocking(file, False)
        _enlarge(self.out)

    @property
    def said(self) -> list[str]:
        """Its last lines on stderr; the last one may be unfinished."""
        return [*self._said, *([_text(self._line)] if self._line else [])]

    def wait(self, until_ns: int) -> bool:
        """Until something happens; False when nothing has by then (monotonic, ns). Takes notes and complaints; `out` is the caller's."""
        ready = self._poll.poll(max(0, until_ns - SystemClock.monotonic_ns()) / 1_000_000)
        for file, _ in ready:
            if file == self._wake:
                self.interrupted = True
                self._poll.unregister(file)
            elif file != self.out:
                self._take(file)
        return bool(ready)

    def wait_for_notes(self, until_ns: int) -> None:
        """Until some come, or until then (monotonic, ns)."""
        poll = select.poll()
        poll.register(self._notes, select.POLLIN)
        if self._notes in self._flowing and poll.poll(max(0, until_ns - SystemClock.monotonic_ns()) / 1_000_000):
            self._take(self._notes)

    def interrupt(self) -> None:
        """From another thread: wait() comes back, and `interrupted` is true."""
        os.eventfd_write(self._wake, 1)

    def ended(self, within_s: float) -> int | None:
        """Its exit code, negative for a signal; None while it still runs after so long. What it still has to say is heard."""
        if not self._drain(within_s):
            return None
        # Not fetched yet: as long as it is not, its number is nobody else's, and its group can be killed safely.
        how = os.waitid(os.P_PIDFD, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        assert how is not None
        return how.si_status if how.si_code == os.CLD_EXITED else -how.si_status

    def close(self, first: signal.Signals = signal.SIGINT) -> None:
        """End it and all that it started, beginning with that step. Raises DeviceError when not even SIGKILL does."""
        try:
            alive = not self._drain(0)
            for number, patience_s in STEPS[[step for step, _ in STEPS].index(first) :]:
                if alive:
                    self._signal(number)
                    alive = not self._drain(patience_s)
            if alive:
                raise DeviceError(f"{self._name} cannot be ended: process {self._process.pid} hangs in the camera's kernel driver; reboot")
            self._signal(signal.SIGKILL)
            self._process.wait()
        finally:
            self._release()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _drain(self, within_s: float) -> bool:
        """Whether it ends within that time. Its pipes are emptied: one that waits for room in them hears no signal."""
        until_ns = SystemClock.monotonic_ns() + round(within_s * NS_PER_S)
        while True:
            left_ns = until_ns - SystemClock.monotonic_ns()
            poll = select.poll()
            for file in (self._pid, *self._flowing):
                poll.register(file, select.POLLIN)
            ready = {file for file, _ in poll.poll(max(0, left_ns) / 1_000_000)}
            for file in ready & self._flowing:
                self._take(file)
            if self._pid in ready or left_ns <= 0:
                return self._pid in ready

    def _take(self, file: int) -> None:
        """What has come there: notes and complaints are kept, pictures are not."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(file, _CHUNK_bytes)
            if file == self._err:
                self._hear(data)
            elif file == self._notes:
                self.noted += data
            if not data:  # its end: it would be ready for ever
                self._flowing.discard(file)
                self._poll.unregister(file)

    def _hear(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        self._said.extend(_text(line) for line in lines[-SAID_lines:])
        self._line = self._line[:SAID_chars]

    def _release(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()
        self._process.stderr.close()
        for file in (self._notes, self._pid, self._wake):
            os.close(file)


def _started(command: Sequence[str], notes: int) -> subprocess.Popen[bytes]:
    """With the kernel told to kill it when our thread ends: by setpriv(1), for Python must not run between fork and exec beside threads."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise DeviceError(f"setpriv, without which {command[0]} could outlive us, is not installed: sudo apt install util-linux")
    try:
        return subprocess.Popen(
            [setpriv, "--pdeathsig", "KILL", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=[notes],
            start_new_session=True,  # a Ctrl-C at the terminal is ours to hear, and the whole group can be killed
        )
    except OSError as error:
        raise DeviceError(f"{command[0]} cannot be started: {error.strerror}") from error


def _enlarge(file: int) -> None:
    limit = Path("/proc/sys/fs/pipe-max-size")
    with contextlib.suppress(OSError, ValueError):  # refused where the user has many such pipes: then it is smaller
        fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, min(PIPE_bytes, int(limit.read_text())))


def _text(line: bytes) -> str:
    return line[:SAID_chars].decode(errors="replace").strip()
