"""The only durable state: what workers handed over, until every sink has it; and the books of every run.

SQLite in WAL mode with synchronous=FULL: when commit() returns, the readings survive a power cut (NORMAL does not promise
that). SQLite does not notice a flipped bit in a payload, so each record carries a CRC32 over its key and its bytes. One
process writes, from one thread; readers have connections of their own and never wait for the writer.
"""

from edgegw.spool.attached import Moment, moment
from edgegw.spool.attached import purge_file as purge
from edgegw.spool.ledger import Book, Ledger, Outcome
from edgegw.spool.letters import Choice
from edgegw.spool.reach import Reach
from edgegw.spool.reader import Outgoing, Reader
from edgegw.spool.room import Room
from edgegw.spool.salvage import Salvaged
from edgegw.spool.share import Cause, GivenUp, Policy, Share, Turn
from edgegw.spool.work import Closed, Commit, Handed, Span
from edgegw.spool.writer import Spool

__all__ = [
    "Book",
    "Cause",
    "Choice",
    "Closed",
    "Commit",
    "GivenUp",
    "Handed",
    "Ledger",
    "Moment",
    "Outcome",
    "Outgoing",
    "Policy",
    "Reach",
    "Reader",
    "Room",
    "Salvaged",
    "Share",
    "Span",
    "Spool",
    "Turn",
    "moment",
    "purge",
]
