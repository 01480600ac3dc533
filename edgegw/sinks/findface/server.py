"""Where FindFace is, who we are there, and which of its cameras each sensor is."""

from __future__ import annotations

import ssl
import urllib.parse
from collections.abc import Callable, Collection, Mapping

import msgspec


class Camera(msgspec.Struct, frozen=True):
    """A camera of FindFace, and the token of the external detector that it is there. Its repr does not show that."""

    id: int
    token: Callable[[], str]

    def __repr__(self) -> str:
        return f"Camera({self.id})"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """All a FindFaceSink needs to know. Tokens and password are asked for when they are sent, for they may have been changed.

    Its repr shows no secret.
    """

    url: str  # http(s)://host:port/path, without a slash at its end
    cameras: Mapping[str, Camera]  # by the name of the sensor
    token: Callable[[], str] = str  # an API token; "": requests carry none, unless there is a user
    user: str = ""  # "": no login
    password: Callable[[], str] = str
    secrets: Collection[str] = ()  # all that must not be shown: these, and what they were before
    device: str = ""  # a UUID that a login tells who we are
    tls: ssl.SSLContext | None = None  # for https://
    connections: int = 6  # at most; by Little's law 5 carry 48 events a second of 100 ms each
    timeout_s: float = 10.0  # for the whole of a request, from the look-up of the name to the end of the answer
    look_up: bool = False  # before sending again what may have arrived: ask whether it is there

    @property
    def place(self) -> str:
        """The server, for messages to people."""
        return f"FindFace at {urllib.parse.urlsplit(self.url).netloc}"

    def without_secrets(self, text: str) -> str:
        """`text`, which somebody else has written, with ours blotted out: a server may repeat what it was sent."""
        for secret in sorted(self.secrets, key=len, reverse=True) if text else ():
            text = text.replace(secret, "***")
        return text

    def __repr__(self) -> str:
        return f"Server({self.url}, cameras={dict(self.cameras)})"
