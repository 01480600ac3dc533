"""Log entries to journald, as a fake of its socket hears them."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.log import JournalSink
from tests.log_fakes import ENTRY, fill


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that takes datagrams as journald does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        yield server


def parse(data: bytes) -> dict[str, str]:
    """Fields of a datagram, read as journald reads them."""
    fields = {}
    while data:
        head, _, rest = data.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        fields[name.decode()] = value.decode()
        data = rest
    return fields


def test_journald_gets_fields(journal: socket.socket) -> None:
    """Message, priority, identifier and every field arrive as journald fields of legal names, values of several lines too."""
    with closing(JournalSink(Path(journal.getsockname()))) as sink:
        assert sink.write(ENTRY | {"tries": 3, "odd näme": None, "exception": "Traceback\n  OSError", "x" * 100: True})
    fields = parse(journal.recv(1 << 20))
    assert fields.pop("EDGEGW_" + "X" * 57) == "true"
    assert fields == {
        "MESSAGE": f"front: device lost sensor=front tries=3 odd näme=null {'x' * 100}=true\nTraceback\n  OSError",
        "PRIORITY": "4", "SYSLOG_IDENTIFIER": "edgegw", "EDGEGW_TIME": ENTRY["time"], "EDGEGW_LEVEL": "warning", "EDGEGW_PROCESS": "front",
        "EDGEGW_EVENT": "device lost", "EDGEGW_SENSOR": "front", "EDGEGW_TRIES": "3", "EDGEGW_ODD_N_ME": "null",
        "EDGEGW_EXCEPTION": "Traceback\n  OSError",
    }  # fmt: skip
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name) for name in fields)


def test_stopped_journald_refuses_and_a_restarted_one_is_found(journal: socket.socket, tmp_path: Path) -> None:
    """A journald that reads nothing, then is away, then new under the old name: refused without waiting, counted, taken."""
    path = Path(journal.getsockname())
    with closing(JournalSink(path)) as sink:
        assert fill(sink.write) > 0
        assert sink.trouble == {}
        path.unlink()
        assert not sink.write(ENTRY)
        assert sink.trouble == {"ENOENT": 1}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
            again.bind(str(path))
            assert sink.write(ENTRY)
            assert parse(again.recv(1 << 20))["EDGEGW_EVENT"] == "device lost"


@pytest.mark.parametrize("fields", [{"text": "x" * 300_000}, {f"field{number}": "y" * 1024 for number in range(300)}])
def test_too_big_for_a_datagram_is_cut_and_says_so(journal: socket.socket, fields: dict[str, str]) -> None:
    """An entry beyond the send buffer arrives in part, with its event, instead of standing in the way of all others."""
    with closing(JournalSink(Path(journal.getsockname()))) as sink:
        assert sink.write(ENTRY | fields)
    shown = parse(journal.recv(1 << 20))
    assert shown["EDGEGW_EVENT"] == "device lost"
    assert "too many for one datagram" in shown["MESSAGE"] or int(shown["EDGEGW_CUT_BYTES"]) > 300_000
