"""Writes whole lines through something that may take only a part of one, or nothing, now."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable

Send = Callable[[bytes], int]  # takes what it can without waiting and says how much; raises OSError


class Lines:
    """Finishes a line that was taken in part before it begins another. Errors are counted, never raised."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._rest = b""
        self.trouble: Counter[str] = Counter()  # name of the errno → how often; a sink that is merely full is none

    def write(self, line: bytes) -> bool:
        """Take the line (parts of it may wait here), or False: nothing of it is taken, offer it again later."""
        if not self.flush():
            return False
        self._rest = self._push(line)
        if len(self._rest) < len(line):
            return True
        self._rest = b""
        return False

    def flush(self) -> bool:
        """Send on what waits; True when nothing does."""
        self._rest = self._push(self._rest)
        return not self._rest

    def _push(self, data: bytes) -> bytes:
        try:
            while data and (taken := self._send(data)):
                data = data[taken:]
        except BlockingIOError:
            pass
        except OSError as error:
            self.trouble[errno.errorcode.get(error.errno or 0, "OSError")] += 1
        return data
