"""What hangs on this machine: a module for each way to hang there.

Each has find(seconds), which yields Found and disturbs nothing that is in use; TITLE, the heading; and CHECK, what to look at
when nothing was found.
"""
