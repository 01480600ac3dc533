"""The tests; a package, so that they share one set of helpers by name."""
