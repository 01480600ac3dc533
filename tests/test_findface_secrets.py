"""FindFace's secrets that are replaced while the gateway runs: taken up without a restart, and shown by nobody."""

from __future__ import annotations

import contextlib

import pytest

from edgegw.errors import Refused
from edgegw.sinks.findface import Camera
from edgegw.testing.findface import FakeFindFace
from tests.findface_bench import API_TOKEN, GATE, TOKENS, Bench, expected, leaves, sent


def test_rotated_tokens_are_taken_up() -> None:
    """Of the API and of a detector alike: what the server refused goes through once the new one is there, and once."""
    api, detector = [API_TOKEN], [TOKENS[GATE]]
    cameras = {"gate": Camera(GATE, lambda: detector[-1])}
    with FakeFindFace(TOKENS, api_token=API_TOKEN) as fake:
        made = Bench(fake, cameras=cameras, token=lambda: api[-1])
        with contextlib.closing(made.sink):
            made.deliver(leaves([0]))
            fake.api_token = "new-api-token"
            with pytest.raises(Refused):
                made.deliver(leaves([1]))
            api.append("new-api-token")
            made.deliver(leaves([1]))
            fake.cameras[GATE] = "new-detector-token"
            with pytest.raises(Refused):
                made.deliver(leaves([2]))
            detector.append("new-detector-token")
            made.deliver(leaves([2]))
        assert sent(fake) == expected(range(3))


def test_a_rotated_password_is_taken_up_by_the_next_login() -> None:
    """Sessions that the server has ended are opened again with what the file holds then."""
    password = ["old"]
    with FakeFindFace(TOKENS, users={"gw": "old"}) as fake:
        made = Bench(fake, token="", user="gw", password=lambda: password[-1], device="d")
        with contextlib.closing(made.sink):
            made.deliver(leaves([0]))
            fake.users["gw"] = "new"
            fake.sessions.clear()
            with pytest.raises(Refused, match="login was refused"):
                made.deliver(leaves([1]))
            password.append("new")
            made.deliver(leaves([1]))
        assert sent(fake) == expected(range(2))


def test_an_answer_that_repeats_a_secret_shows_neither_the_old_nor_the_new_one() -> None:
    """Whatever the server writes, what was a secret before is none of anybody's business either."""
    with FakeFindFace(TOKENS) as fake:
        server = Bench(fake, secrets=["0ld-t0ken", "new-t0ken"]).sink._server
        assert server.without_secrets("0ld-t0ken is not new-t0ken") == "*** is not ***"
