"""What several drivers need of a bus: opening it, and saying in plain words why that failed."""
