"""python -m workers.virtual.hcsr04 "name=door&no_echo=0.1": a virtual peripheral behind a BlueZ of its own."""

from __future__ import annotations

import sys

from workers.virtual.hcsr04.server import main

main(sys.argv[1:])
