"""The closing account: what was produced, what became of each reading, what the stores hold, and whether that adds up, run by run.

Every figure is read from disk: from the spool's books, from the tallies of the workers, and from the tables of the stores.
No figure is what somebody believes to have sent.
"""

from edgegw.account.check import Imbalance, imbalances
from edgegw.account.declared import Loss, losses
from edgegw.account.line import AtSink, Ending, Line, Taken, lines
from edgegw.account.look import Account, look

__all__ = ["Account", "AtSink", "Ending", "Imbalance", "Line", "Loss", "Taken", "imbalances", "lines", "look", "losses"]
