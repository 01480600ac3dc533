"""What rides with a reading: kept until every outbox has it, given to nobody else, and gone without a trace afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw import codec
from edgegw.bridge.forwarder import Forwarder
from edgegw.bridge.intake import Intake
from edgegw.codec import Hello, MAX_ATTACHMENT_bytes, MAX_MESSAGE_bytes, Push
from edgegw.errors import CodecError, Unavailable
from edgegw.reading import Attachment, Batch, Counts, Sample
from edgegw.spool import Commit, Handed, Moment, Reach, Reader, Spool
from edgegw.testing import FakeClock, ListOutbox, ListSink
from edgegw.worker.outlet import _bounded
from edgegw.worker.window import ATTACHED_bytes, Window
from tests.records import a_reading, a_run
from tests.rig import Rig
from tests.services.base import until
from tests.spooling import batch, older

RUN = a_run(1)
HOUR_ns = 3_600_000_000_000
NOW = Moment("boot", 10 * HOUR_ns, 1_000_000 * HOUR_ns)
PICTURE = Attachment("image/jpeg", b"\xff\xd8" + b"a face, as pixels" * 2000 + b"\xff\xd9", 5, {"left_px": 1.5})
PATIENCE_s = 60
MANY = 40  # pictures: more than fit into one page with their beginnings, so that it has to be split


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    spool = Spool(path, ["store", "box"], outboxes=["box"])
    yield spool
    spool.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


def taken_in(number: int, *seqs: int, kind: str = "lidar") -> Handed:
    """A batch of ten readings, some with a picture."""
    one = batch(RUN, number * 10, 10)
    return Handed(RUN, number, Batch(one.run, kind, one.counts, one.readings), {number * 10 + seq: PICTURE for seq in seqs})


def on_disk(path: Path) -> bytes:
    """Every byte of the spool's files."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")) if not file.name.endswith(".ballast"))


def records(path: Path) -> list[int]:
    """The positions that are left."""
    reader = Reader(path)
    try:
        return [record.position for record in reader.after(0, 10**9)[0]]
    finally:
        reader.close()


def outgoing(path: Path, position: int = 0, bytes_: int = 1 << 30) -> tuple[list[tuple[int, dict[int, Attachment]]], int]:
    """(position, attachments) of what an outbox is given, and how far it then is."""
    reader = Reader(path)
    try:
        found = reader.outgoing(position, bytes_)
    finally:
        reader.close()
    assert found.damaged == []
    return [(record.position, dict(record.attachments)) for record in found.records], found.upto


def test_an_outbox_gets_what_was_attached_and_other_sinks_do_not(spool: Spool, path: Path) -> None:
    """Byte by byte, at the reading it rode with; whoever asks for records gets them without."""
    spool.commit(Commit(handed=[taken_in(0), taken_in(1, 3, 4), taken_in(2)], now=NOW))
    assert outgoing(path) == ([(2, {13: PICTURE, 14: PICTURE})], 3)
    reader = Reader(path)
    assert [dict(record.attachments) for record in reader.after(0, 10**9)[0]] == [{}, {}, {}]
    reader.close()


def test_an_outbox_that_is_away_keeps_its_own_records_and_no_others(spool: Spool, path: Path) -> None:
    """A dead face server must not fill the card with everybody's readings."""
    for number in range(6):
        spool.commit(Commit(handed=[taken_in(number, *([7] if number == 2 else []))], now=NOW))
    spool.commit(Commit(cursors={"store": 6}, trim=True))
    assert records(path) == [3]
    assert outgoing(path) == ([(3, {27: PICTURE})], 3)
    spool.commit(Commit(handed=[taken_in(6)], now=NOW))
    assert outgoing(path)[1] == 7
    spool.commit(Commit(cursors={"store": 7, "box": 7}, trim=True))
    assert records(path) == []


def test_a_store_that_is_away_does_not_keep_the_pictures(spool: Spool, path: Path) -> None:
    """They are erased once the outbox has them, though their readings still wait for somebody else."""
    spool.commit(Commit(handed=[taken_in(0, 1)], now=NOW))
    spool.commit(Commit(cursors={"box": 1}, trim=True))
    assert records(path) == [1]
    assert outgoing(path) == ([], 1)


@pytest.mark.parametrize("size_bytes", [900, 4200, 17_000, 34_000])  # each leaves another part of itself beside what leads to the rest
@pytest.mark.parametrize("how", ["delivered", "expired", "purged"])
def test_nothing_of_a_picture_is_left_in_the_files(how: str, size_bytes: int, path: Path) -> None:
    """Not in a free page, nor in one that had to be split, and after the file was closed not in the WAL either."""
    spool = Spool(path, ["store", "box"], outboxes=["box"])
    for number in range(MANY):
        picture = Attachment("image/jpeg", (b"a face, as pixels" * 2000)[:size_bytes], 5, {})
        spool.commit(Commit(handed=[Handed(RUN, number, batch(RUN, number, 1), {number: picture})], now=NOW))
    assert b"a face, as pixels" in on_disk(path)
    if how == "delivered":
        spool.commit(Commit(cursors={"box": MANY}, trim=True))
    elif how == "expired":
        assert spool.expire(NOW._replace(boot_ns=NOW.boot_ns + 1)) == MANY
    else:
        assert spool.purge() == MANY
        assert b"a face, as pixels" not in on_disk(path)  # at once: somebody asked
    spool.close()
    assert b"a face, as pixels" not in on_disk(path)


@pytest.mark.parametrize(
    ("now", "goes"),
    [
        (Moment("boot", 34 * HOUR_ns - 1, 0), False),
        (Moment("boot", 34 * HOUR_ns + 1, 0), True),
        (Moment("boot", 11 * HOUR_ns, 2_000_000 * HOUR_ns), False),
        (Moment("other", 1 * HOUR_ns, 1_000_023 * HOUR_ns), False),
        (Moment("other", 1 * HOUR_ns, 1_000_025 * HOUR_ns), True),
        (Moment("other", 23 * HOUR_ns, 0), False),
        (Moment("other", 25 * HOUR_ns, 0), True),
    ],
    ids=["in_time", "late", "wall_clock_jumps", "next_boot_in_time", "next_boot_late", "no_clock_in_time", "no_clock_but_long_up"],
)
def test_what_nobody_takes_in_its_time_is_erased(spool: Spool, path: Path, now: Moment, goes: bool) -> None:
    """After 24 hours of a clock that can be believed; the row stays, so that the outbox can say what became of it."""
    spool.commit(Commit(handed=[taken_in(0, 4)], now=NOW))
    assert spool.expire(now.before(24 * HOUR_ns)) == goes
    ((_, attached),) = outgoing(path)[0]
    assert (attached[4].gone, attached[4].data == PICTURE.data) == (("expired", False) if goes else ("", True))
    assert attached[4].about == PICTURE.about


def test_without_an_outbox_no_picture_is_written(path: Path) -> None:
    """Nor is one kept when the last outbox is taken out of the configuration."""
    spool = Spool(path, ["store"])
    spool.commit(Commit(handed=[taken_in(0, 1)], now=NOW))
    assert b"a face, as pixels" not in on_disk(path)
    spool.close()
    spool = Spool(path, ["store", "box"], outboxes=["box"])
    spool.commit(Commit(handed=[taken_in(1, 1)], now=NOW))
    spool.close()
    Spool(path, ["store"]).close()
    assert b"a face, as pixels" not in on_disk(path)


def test_a_damaged_picture_is_told_from_a_whole_one(spool: Spool, path: Path) -> None:
    """A flipped bit in its data: the outbox gets no wrong picture, and its row says why."""
    spool.commit(Commit(handed=[taken_in(0, 1)], now=NOW))
    spool._db.execute("UPDATE attachment SET data = x'00' || substr(data, 2)")
    ((_, attached),) = outgoing(path)[0]
    assert (attached[1].gone, attached[1].data) == ("damaged", b"")


def test_a_delivery_is_bounded_in_bytes(spool: Spool, path: Path) -> None:
    """However large the backlog, as much as fits, and then on from there."""
    for number in range(5):
        spool.commit(Commit(handed=[taken_in(number, 0)], now=NOW))
    found, upto = outgoing(path, 0, 2 * len(PICTURE.data))
    assert ([position for position, _ in found], upto) == ([1, 2], 2)
    assert [position for position, _ in outgoing(path, upto)[0]] == [3, 4, 5]


def test_a_spool_of_the_version_before_is_taken_over(path: Path) -> None:
    """Its records are still there, and it takes attachments from then on."""
    older(path, 1, RUN, 1, {"store": 0})
    spool = Spool(path, ["store", "box"], outboxes=["box"])
    spool.commit(Commit(handed=[taken_in(1, 1)], now=NOW))
    assert records(path) == [1, 2]
    assert [position for position, _ in outgoing(path)[0]] == [2]
    spool.close()


def test_the_books_count_what_an_outbox_waits_for(spool: Spool, path: Path) -> None:
    """Pictures, not all the readings that it is never given."""
    spool.commit(Commit(handed=[taken_in(0, 1, 2), taken_in(1)], now=NOW))
    reader = Reader(path)
    (book,) = reader.books()
    assert {sink: each.waiting for sink, each in book.sinks.items()} == {"store": 20, "box": 2}
    assert (reader.unsent(0), reader.unsent(1)) == (2, 0)
    reader.close()


def test_a_forwarder_gives_an_outbox_only_what_it_takes(spool: Spool, path: Path, rig: Rig) -> None:
    """Of its kinds, with pictures; and it is soon past all the rest. After an outage, the same once more and nothing twice."""
    sink = ListOutbox("box")
    sink.trouble = Unavailable("away")
    forwarder = Forwarder(sink, path, Reach(), rig.process.log, rig.clock, lambda: 0.0)
    spool.commit(Commit(handed=[taken_in(0, 1), taken_in(1, 1, kind="face"), taken_in(2, kind="face")], now=NOW))
    forwarder.start()
    until(lambda: "open" in sink.attempts, PATIENCE_s, "a first attempt")
    sink.trouble = None
    until(lambda: forwarder.position == 3, PATIENCE_s, "the end of the spool")
    forwarder.stop_soon()
    assert forwarder.ended(PATIENCE_s)
    assert [(record.position, record.attachments) for record in sink.records] == [(2, {11: PICTURE})]
    assert forwarder.health(0).delivered == 1
    assert not Forwarder(ListSink("store"), path, Reach(), rig.process.log, rig.clock, lambda: 0.0).outbox


@given(sizes=st.lists(st.integers(0, MAX_ATTACHMENT_bytes), max_size=60))
def test_pictures_are_spread_over_messages_that_the_bus_takes(sizes: list[int]) -> None:
    """Each rides with its own reading, whatever their sizes; what is sent and acknowledged is no longer held."""
    window = Window(RUN.id, 1000, drops_oldest=True)
    for seq, size in enumerate(sizes):
        window.add("face", a_reading(seq, [1.0]), Attachment("image/jpeg", bytes(size)))
    window.seal()
    found: dict[int, int] = {}
    while (push := window.next()) is not None:
        assert len(codec.encode(push)) <= MAX_MESSAGE_bytes
        assert codec.decode(codec.encode(push)) == push
        found |= {seq: len(one.data) for seq, one in push.attached.items()}
        window.sent()
        window.acknowledge(push.number)
    assert len(found) + window.dropped == len(sizes)
    assert all(sizes[seq] == size for seq, size in found.items())
    assert window._attached_bytes == 0


@pytest.mark.parametrize("drops_oldest", [True, False])
def test_a_window_is_full_of_bytes_too(drops_oldest: bool) -> None:
    """While the bridge is away, pictures take no more memory than that; what gives way is counted."""
    window = Window(RUN.id, 10_000, drops_oldest=drops_oldest)
    picture = Attachment("image/jpeg", bytes(MAX_ATTACHMENT_bytes))
    for seq in range(100):
        window.add("face", a_reading(seq, [1.0]), picture)
        window.seal()
    held = ATTACHED_bytes // MAX_ATTACHMENT_bytes
    assert (window.size, window.dropped, window.produced) == (held, 100 - held, 100)
    first = window.next()
    assert first is not None
    assert first.batch.first_seq == (100 - held if drops_oldest else 0)


def test_a_picture_that_no_message_has_room_for_says_so() -> None:
    """Its reading goes on without it, and the outbox learns why."""
    large = _bounded(Attachment("image/jpeg", bytes(MAX_ATTACHMENT_bytes + 1), about={"left_px": 2.0}))
    assert large == Attachment("image/jpeg", b"", about={"left_px": 2.0}, gone="too large")
    assert _bounded(PICTURE) is PICTURE
    assert _bounded(Sample({}).attachment) is None


@pytest.mark.parametrize(
    "attached",
    [{99: PICTURE}, {0: Attachment("image/jpeg", bytes(MAX_ATTACHMENT_bytes + 1))}, {0: Attachment("image/jpeg", b"", 1 << 63)}],
    ids=["stranger", "too_large", "no_time"],
)
def test_what_no_honest_worker_attaches_is_refused(attached: dict[int, Attachment]) -> None:
    """A message is taken as a whole or not at all."""
    push = Push(0, Batch(RUN.id, "face", Counts(1), (a_reading(0, [1.0]),)), attached)
    with pytest.raises(CodecError):
        codec.decode(codec.encode(push))


def test_joined_batches_keep_what_is_attached() -> None:
    """Several messages of one turn become one record."""
    intake = Intake(lambda _: -1)
    intake.hear(b"peer", codec.encode(Hello(RUN)))
    for number in range(2):
        part = taken_in(number, 5)
        intake.hear(b"peer", codec.encode(Push(number, part.batch, dict(part.attached))))
    (handed,) = intake.handed()
    assert handed.attached == {5: PICTURE, 15: PICTURE}
    assert intake.attached_bytes == 2 * len(PICTURE.data)


def test_a_fake_clock_gives_a_moment() -> None:
    """Boot time always, wall time only when it can be believed."""
    from edgegw.reading import ClockState
    from edgegw.spool import moment

    clock = FakeClock(5)
    assert moment(clock, "b") == Moment("b", 5, clock.wall_ns())
    clock.synced = ClockState.UNSYNCED
    assert moment(clock, "b") == Moment("b", 5, 0)
