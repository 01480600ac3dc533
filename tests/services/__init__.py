"""Private servers for the tests: each one on a free port, in a directory of its own, and gone when the test process is."""
