"""Who gets in when there is little room: each sensor by its own policy and its own share, none at the cost of another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from edgegw.spool import file
from edgegw.spool.evict import Eldest, evict
from edgegw.spool.share import Cause, GivenUp, Share
from edgegw.spool.work import Handed, Span

_LEAF_bytes = 3600  # of a page that get filled with small records, roughly
_ROUNDS = 16  # in one commit; each gives up as much as it has to take in
_EVERYTHING = Share()


class Packed(msgspec.Struct, frozen=True):
    """A batch as it will be written."""

    handed: Handed
    payload: bytes

    @property
    def bytes(self) -> int:
        """With what is attached."""
        return len(self.payload) + sum(len(one.data) for one in self.handed.attached.values())


class Bundle(msgspec.Struct, frozen=True):
    """All of one run: it gets in as a whole or not at all, because one number acknowledges all of it."""

    packed: Sequence[Packed]

    @property
    def run(self) -> str:
        """Its id."""
        return self.packed[0].handed.run.id

    @property
    def sensor(self) -> str:
        """Whose it is."""
        return self.packed[0].handed.run.sensor

    @property
    def bytes(self) -> int:
        """To be written."""
        return sum(each.bytes for each in self.packed)

    @property
    def readings(self) -> int:
        """Of all kinds."""
        return sum(len(each.handed.batch.readings) for each in self.packed)


class Limit(msgspec.Struct, frozen=True):
    """Up to how many pages the database may be filled with readings, and what sets the limit."""

    waiting: int  # by those who wait for room, or turn the newest away
    giving: int  # by those who give up their oldest: a little more, or what they give up could stay stuck between what others keep
    cause: Cause


class Verdict(msgspec.Struct):
    """On everything that one commit was handed."""

    taken: list[Packed] = msgspec.field(default_factory=list)
    refused: list[Packed] = msgspec.field(default_factory=list)
    blocked: dict[str, Cause] = msgspec.field(default_factory=dict)
    given_up: list[GivenUp] = msgspec.field(default_factory=list)


def limit(db: sqlite3.Connection, max_bytes: int, shares: Mapping[str, Share], *, disk_full: bool) -> Limit:
    """The one that holds now. A sixteenth of the quota is kept for the letters and books of the sinks that drain it."""
    if disk_full:  # only what is given up makes room: the file must not grow
        return Limit(0, _pragma(db, "page_count"), "disk")
    pages = max(max_bytes // file.PAGE_bytes, file.LEAST_pages)
    giving = pages - pages // 16
    give = any(share.policy == "drop_oldest" for share in shares.values())
    return Limit(giving - pages // 16 if give else giving, giving, "quota")


class Gate:
    """One sitting: the readings of one commit, inside of its transaction."""

    def __init__(self, db: sqlite3.Connection, eldest: Eldest, shares: Mapping[str, Share], bound: Limit, in_hand: Sequence[Span]) -> None:
        self._db = db
        self._eldest = eldest
        self._shares = shares
        self._bound = bound
        self._in_hand = in_hand
        self._verdict = Verdict()
        self._admitted_bytes: dict[str, int] = {}  # by sensor

    def admit(self, handed: Sequence[Packed]) -> Verdict:
        """What of it gets in; those who give up their oldest records for it have done so."""
        giving: list[Bundle] = []
        for bundle in _bundles(handed):
            self._eldest.enrol(bundle.sensor, bundle.run)
            if not self._within_share(bundle):
                self._turn_away(bundle, "share")
            elif self._share(bundle).policy == "drop_oldest":
                giving.append(bundle)
            elif self._fits(bundle.bytes, self._bound.waiting):
                self._take(bundle)
            else:
                self._turn_away(bundle, self._bound.cause)
        self._take_those_that_give(giving)
        return self._verdict

    def _share(self, bundle: Bundle) -> Share:
        return self._shares.get(bundle.sensor, _EVERYTHING)

    def _within_share(self, bundle: Bundle) -> bool:
        """Whether its own part has room for it, or could be made to have; one batch always gets in, however small the part is."""
        share = self._share(bundle)
        if not share.max_bytes:
            return True
        held = self._eldest.held_bytes(self._db, bundle.sensor) + self._admitted_bytes.get(bundle.sensor, 0)
        over = held + bundle.bytes - share.max_bytes
        if over > 0 and held and share.policy == "drop_oldest":
            freed = self._give_up(bundle, over, "share")
            held, over = held - freed, over - freed
        return over <= 0 or held <= 0

    def _take_those_that_give(self, bundles: Sequence[Bundle]) -> None:
        """All of them give up as much as they bring, again and again until there is room: so none pays for another."""
        wanted = sum(bundle.bytes for bundle in bundles)
        for _ in range(_ROUNDS):
            if self._fits(wanted, self._bound.giving):
                break
            if not sum([self._give_up(bundle, bundle.bytes, self._bound.cause) for bundle in bundles]):
                break
        for bundle in bundles:
            if self._fits(bundle.bytes, self._bound.giving):
                self._take(bundle)
            else:
                self._verdict.blocked[bundle.run] = self._bound.cause

    def _give_up(self, bundle: Bundle, bytes_: int, cause: Cause) -> int:
        freed, readings = evict(self._db, self._eldest, bundle.sensor, bytes_, self._in_hand)
        if readings:
            self._verdict.given_up.append(GivenUp(bundle.sensor, "drop_oldest", cause, readings))
        return freed

    def _turn_away(self, bundle: Bundle, cause: Cause) -> None:
        if self._share(bundle).policy == "drop_newest":
            self._verdict.refused += bundle.packed
            self._verdict.given_up.append(GivenUp(bundle.sensor, "drop_newest", cause, bundle.readings))
        else:
            self._verdict.blocked[bundle.run] = cause

    def _take(self, bundle: Bundle) -> None:
        self._verdict.taken += bundle.packed
        self._admitted_bytes[bundle.sensor] = self._admitted_bytes.get(bundle.sensor, 0) + bundle.bytes

    def _fits(self, bytes_: int, pages: int) -> bool:
        used = _pragma(self._db, "page_count") - _pragma(self._db, "freelist_count")
        return used + (sum(self._admitted_bytes.values()) + bytes_) // _LEAF_bytes + 2 <= pages


def _bundles(handed: Sequence[Packed]) -> Iterator[Bundle]:
    runs: dict[str, list[Packed]] = {}
    for each in handed:
        runs.setdefault(each.handed.run.id, []).append(each)
    return (Bundle(packed) for packed in runs.values())


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
