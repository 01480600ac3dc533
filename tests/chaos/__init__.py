"""Chaos: a real gateway under load, a seeded sequence of faults, and at the end the proof that nothing acknowledged was lost.

    python -m tests.chaos --seed 1 --minutes 10        # a random walk over all faults
    python -m tests.chaos --plan kills                 # 100 kills of the bridge, 100 of workers
    python -m tests.chaos --plan servers --minutes 10  # RabbitMQ and MariaDB killed and restarted at random

`plan` makes the sequence from a seed, before anything runs; `faults` can do each of them and take it back; `stage` is the gateway with its
servers and whoever listens; `run` plays the one on the other; `judge` compares what the sensors noted with what came out; `prove` is all of
it, and keeps what is not well. `every` runs all tests of the tree that have a long form, one after the other.
"""
