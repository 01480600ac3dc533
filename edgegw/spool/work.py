"""What is written to the spool, as values: one Commit is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from edgegw.reading import Attachment, Batch, Counts, Letter, Run
from edgegw.spool.attached import NEVER, Moment

Span = tuple[int, int]  # positions, the first and the last


class Handed(msgspec.Struct, frozen=True):
    """Batches of one run and kind that one commit takes in, joined; `number` is the last one's."""

    run: Run
    number: int
    batch: Batch
    attached: Mapping[int, Attachment] = {}


class Closed(msgspec.Struct, frozen=True):
    """The final counts of a run whose worker is gone."""

    run: Run
    counts: Counts
    held: int = -1  # readings not acknowledged when the worker left in order; -1: it left no last word
    cut: bool = False  # nor did it leave a count: the book ends with that of its last batch


class Commit(msgspec.Struct, frozen=True):
    """What one transaction writes. Everything in it becomes durable together, or nothing does."""

    handed: Sequence[Handed] = ()
    cursors: Mapping[str, int] = {}  # sink → position up to which it is done with everything
    spans: Mapping[str, Sequence[Span]] = {}  # sink → what it is done with beyond its cursor, ascending; replaces what was there
    delivered: Mapping[tuple[str, str], int] = {}  # (run, sink) → readings delivered since the commit before
    letters: Sequence[Letter] = ()
    retried: Mapping[str, Sequence[tuple[str, int]]] = {}  # sink → (run, seq) of dead letters given to it again; in `letters`: in vain
    damaged: Sequence[tuple[str, int]] = ()  # (sink, position) of damaged records that a sink has passed
    closed: Sequence[Closed] = ()
    in_hand: Sequence[Span] = ()  # what the sinks are delivering just now: not to be given up for want of room
    trim: bool = False
    now: Moment = NEVER  # for what is attached
