"""The only durable state: what workers handed over, until every sink has it; and the books of every run.

SQLite in WAL mode with synchronous=FULL: when commit() returns, the readings survive a power cut (NORMAL does not promise
that). SQLite does not notice a flipped bit in a payload, so each record carries a CRC32 over its key and its bytes. One
process writes, from one thread; readers have connections of their own and never wait for the writer.
"""

from edgegw.spool.attached import Moment, moment
from edgegw.spool.attached import purge_file as purge
from edgegw.spool.reader import Book, Outgoing, Reader
from edgegw.spool.writer import Closed, Commit, Handed, Spool

__all__ = ["Book", "Closed", "Commit", "Handed", "Moment", "Outgoing", "Reader", "Spool", "moment", "purge"]
