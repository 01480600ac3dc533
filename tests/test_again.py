"""How a command starts edgegw again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from edgegw.cli import again


def test_what_lies_in_the_operators_directory_is_not_imported(tmp_path: Path) -> None:
    """A file called click.py there is no click of ours; edgegw itself is found wherever it was imported from."""
    (tmp_path / "click.py").write_text("raise SystemExit('imported from the directory')")
    done = subprocess.run(
        again.command("--version"), cwd=tmp_path, env=again.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("edgegw")


def test_the_rest_of_the_environment_stays() -> None:
    """Also a PYTHONPATH of the operator's, behind ours."""
    made = again.environment({"HOME": "/home/pi", "PYTHONPATH": "/opt/drivers"})
    assert made["HOME"] == "/home/pi"
    assert made["PYTHONPATH"].split(os.pathsep)[1:] == ["/opt/drivers"]
