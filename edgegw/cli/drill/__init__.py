"""`edgegw drill`: faults, on purpose, in a gateway of its own; what was expected, what happened, and at the end the books."""

from edgegw.cli.drill.command import Wish, listing, run

__all__ = ["Wish", "listing", "run"]
