"""What all commands have in common: an error of the house is one plain sentence and its exit code, never a traceback."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from edgegw.errors import ConfigError, EdgegwError, Exit


class Commands(click.Group):
    """Turns the errors of the house into one plain sentence and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """As click does, but an error that is not a bug prints no traceback."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            count = len(error.problems)
            click.echo(f"{error}\nedgegw: {count} problem{'s' if count > 1 else ''} in the configuration, nothing was started", err=True)
            for note in getattr(error, "__notes__", ()):
                click.echo(f"edgegw: {note}", err=True)
            ctx.exit(Exit.CONFIG)
        except EdgegwError as error:
            click.echo(f"edgegw: {error}", err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # Whoever read our output has gone. What is still in the buffer has to go somewhere, or the interpreter ends with 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(Exit.DONE)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"edgegw: {where}{error.strerror or error}", err=True)
            ctx.exit(Exit.NO_PERMISSION if isinstance(error, PermissionError) else Exit.IO)
