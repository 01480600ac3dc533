"""What the server knows and what it was sent; its sockets are in `wire`."""

from __future__ import annotations

import base64
import contextlib
import secrets
import ssl
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from edgegw.testing.findface.fault import Fault
from edgegw.testing.findface.form import digest
from edgegw.testing.findface.wire import Listener

PAGE_MAX = 1000


class FaceEvent(msgspec.Struct, frozen=True):
    """A face that was taken."""

    id: str
    camera: int
    timestamp: str  # as it was sent
    roi: tuple[int, ...]  # left, top, right, bottom in pixels; empty: none was sent
    picture_bytes: int
    digest: str  # SHA-256 of the picture, in hex
    authorization: str
    connection: int  # which one it came by, counted from 1

    @property
    def json(self) -> dict[str, Any]:
        """As the server lists it."""
        return {"id": self.id, "camera": self.camera, "created_date": self.timestamp, "matched": False, "confidence": 0.0}


class FakeFindFace:
    """The server. `cameras` has the token of the external detector of each camera; everything is in memory, and in plain sight.

    With `api_token` or `users` (name → password) requests need an Authorization header. `tls` is a server's context. Settings and
    faults may be changed while it runs.
    """

    def __init__(
        self,
        cameras: Mapping[int, str],
        *,
        api_token: str = "",
        users: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.cameras = dict(cameras)
        self.api_token = api_token
        self.users = dict(users or {})
        self.faults: list[Fault] = []  # of the next faces, one each
        self.always: Fault | None = None  # of every face, once `faults` is empty
        self.poison: set[str] = set()  # digests of pictures that it always fails over, with 500
        self.slow_s = 0.1
        self.retry_after_s = 1
        self.may_read = True  # False: the list of events is forbidden (403)
        self.events: list[FaceEvent] = []
        self.requests: list[str] = []  # method and path with query, in the order they came in
        self.refused: list[str] = []  # why faces were refused
        self.sessions: set[str] = set()  # tokens of logins
        self.connections = 0  # ever made
        self.most_at_once = 0  # faces in hand
        self._at_once = 0
        self._lock = threading.Lock()
        self._tls = tls
        self._address = (host, 0)
        self._server: Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Stays the same after stop() and start()."""
        return self._address[1]

    @property
    def url(self) -> str:
        """What a client has to be told."""
        return f"{'https' if self._tls else 'http'}://{self._address[0]}:{self.port}"

    def start(self) -> Self:
        """Listen."""
        self._server = Listener(self._address, self, self._tls)
        self._address = (self._address[0], self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="fake-findface")
        self._thread.start()
        return self

    def stop(self) -> None:
        """Break every connection and listen no more; what was taken stays. Safe to call twice."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        server.break_off()
        server.server_close()  # waits for the threads of the connections
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def next_fault(self) -> Fault | None:
        """What the next face meets."""
        with self._lock:
            return self.faults.pop(0) if self.faults else self.always

    def note(self, request: str) -> None:
        """A request has come in."""
        with self._lock:
            self.requests.append(request)

    def connected(self) -> int:
        """Number of a new connection."""
        with self._lock:
            self.connections += 1
            return self.connections

    @property
    def idle(self) -> bool:
        """Whether no face is being dealt with: a client that is gone does not stop that."""
        return not self._at_once

    @contextlib.contextmanager
    def in_hand(self) -> Iterator[None]:
        """While a face is being dealt with."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            yield
        finally:
            with self._lock:
                self._at_once -= 1

    def admits(self, authorization: str) -> bool:
        """Whether this header lets somebody in."""
        if not self.api_token and not self.users:
            return True
        return authorization in {f"Token {token}" for token in (*self.sessions, *filter(None, [self.api_token]))}

    def log_in(self, authorization: str) -> str:
        """A new token for HTTP Basic's user and password; "" for a wrong one."""
        try:
            user, _, password = base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode().partition(":")
        except ValueError:
            return ""
        if not password or self.users.get(user) != password:
            return ""
        token = secrets.token_hex(16)
        self.sessions.add(token)
        return token

    def log_out(self, authorization: str) -> None:
        """The token of this header is void."""
        self.sessions.discard(authorization.removeprefix("Token "))

    def store(self, fields: Mapping[str, list[bytes]], authorization: str, connection: int) -> FaceEvent:
        """Take a face whose form was found to be right."""
        picture = fields["fullframe"][0]
        with self._lock:
            event = FaceEvent(
                id=str(4_000_000_000 + len(self.events)),
                camera=int(fields["camera"][0]),
                timestamp=fields["timestamp"][0].decode() if "timestamp" in fields else datetime.now(UTC).isoformat(),
                roi=tuple(int(side) for side in fields.get("roi", [])),
                picture_bytes=len(picture),
                digest=digest(picture),
                authorization=authorization,
                connection=connection,
            )
            self.events.append(event)
        return event

    def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The first page of the events that fit `cameras`, `id_in`, `created_date_gte` and `created_date_lte`, newest first."""
        cameras, ids = (query[key].split(",") if query.get(key) else None for key in ("cameras", "id_in"))
        first, last = (_moment(query[key]) if query.get(key) else None for key in ("created_date_gte", "created_date_lte"))
        with self._lock:
            events = self.events[::-1]
        found = [
            event.json
            for event in events
            if (cameras is None or str(event.camera) in cameras)
            and (ids is None or event.id in ids)
            and (first is None or _moment(event.timestamp) >= first)
            and (last is None or _moment(event.timestamp) <= last)
        ]
        limit = min(int(query.get("limit", 10)), PAGE_MAX)
        return {"next_page": "2" if len(found) > limit else None, "count": len(found[:limit]), "results": found[:limit]}


def _moment(timestamp: str) -> datetime:
    """Without an offset it is UTC."""
    moment = datetime.fromisoformat(timestamp)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
