"""The command line: introduces rooms to each other and leaves."""

from edgegw.cli.commands import main

__all__ = ["main"]
