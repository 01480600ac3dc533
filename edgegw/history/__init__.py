"""The history checker: what a sensor noted that it gave, against what came out, and what the books say of the difference.

    lives = [life for sensor in sensors for life in history.journals(folder / sensor, sensor)]   # what went in
    books = history.from_books(reader.books(), "mysql", sensors)                                 # what the ledger says
    seen = history.from_table("mysql", cursor.execute(history.ROWS))                             # what came out
    verdict = history.check(lives, books, seen)
    assert verdict.ok, verdict.report()

The sensors are metronomes (driver "metronome"), each with a journal directory of its own. The caller brings rows and messages, so
nothing here knows a broker or a database, and all is pure but for `journals` and `keep`. The checker's idea of a
tick is written from the driver's page, not shared with its code.
"""

from __future__ import annotations

from edgegw.history.check import Books, check
from edgegw.history.journal import Life, journals
from edgegw.history.kept import Case, keep, recall
from edgegw.history.ledger import from_books
from edgegw.history.observed import ROWS, Observed, Row, from_messages, from_table
from edgegw.history.verdict import Fault, Finding, Verdict, together

__all__ = [
    "ROWS",
    "Books",
    "Case",
    "Fault",
    "Finding",
    "Life",
    "Observed",
    "Row",
    "Verdict",
    "check",
    "from_books",
    "from_messages",
    "from_table",
    "journals",
    "keep",
    "recall",
    "together",
]
