"""The server's sockets: HTTP/1.1 with connections that stay, a thread for each, TLS where wanted, and faults played on them."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import struct
import sys
import threading
import urllib.parse
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgegw.testing.findface import form
from edgegw.testing.findface.fault import Fault
from edgegw.testing.findface.form import Form, Refusal, digest

if TYPE_CHECKING:
    from edgegw.testing.findface.fake import FakeFindFace

BODY_MAX_bytes = 1 << 24
HANDSHAKE_s = 10.0
ADD, EVENTS, LOGIN, LOGOUT, CAMERAS = "/events/faces/add/", "/events/faces/", "/auth/login/", "/auth/logout/", "/cameras/"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: close(2) then sends RST
_PAGE = b"<html><head><title>x</title><style>h1 {}</style></head><body><h1>Bad &amp; Gateway</h1><p>nginx</p></body></html>"
_ZERO = 'Zero objects(type="face") detected on the provided image'
_INSTEAD: Mapping[Fault, tuple[int, bytes | dict[str, Any]]] = {
    Fault.POISON: (500, _PAGE),
    Fault.BUSY: (503, _PAGE),
    Fault.TOO_MANY: (429, {"code": "THROTTLED", "desc": "Request was throttled."}),
    Fault.REDIRECT: (302, b""),
    Fault.NO_FACE: (200, {"orientation": 1, "objects": {}}),
    Fault.NO_FACE_400: (400, Refusal(400, _ZERO, "fullframe").body),
    Fault.BAD_PICTURE: (400, Refusal(400, "Upload a valid image.", "fullframe").body),
    Fault.TOO_LARGE: (413, _PAGE),
    Fault.NOT_FOUND: (404, _PAGE),
    Fault.EXPIRED: (401, Refusal(401, "Invalid token.", code="UNAUTHORIZED").body),
}
_AFTER_STORING: Mapping[Fault, tuple[int, bytes | dict[str, Any]]] = {
    Fault.NONSENSE_AFTER_STORING: (200, _PAGE),
    Fault.STRANGE_AFTER_STORING: (200, {"hello": "world"}),
    Fault.GATEWAY: (504, _PAGE),
}


class Listener(ThreadingHTTPServer):
    """Accepts connections and gives each a thread."""

    daemon_threads = False  # server_close() waits for them, so that none is left behind
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], fake: FakeFindFace, tls: ssl.SSLContext | None) -> None:
        self.fake = fake
        self.leaving = threading.Event()
        self._tls = tls
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread; TLS is agreed upon here, where it holds up nobody else."""
        with contextlib.ExitStack() as stack:
            self._watched(stack, request)
            if self._tls is not None:
                request.settimeout(HANDSHAKE_s)
                request = stack.enter_context(self._tls.wrap_socket(request, server_side=True))
                request.settimeout(None)
                self._watched(stack, request)
            super().finish_request(request, client_address)

    def break_off(self) -> None:
        """End every connection, and whatever waits."""
        self.leaving.set()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or that does not like our certificate, is no news."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def _watched(self, stack: contextlib.ExitStack, connection: socket.socket) -> None:
        self._open.add(connection)
        stack.callback(self._open.discard, connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one segment
    server: Listener

    def setup(self) -> None:
        super().setup()
        self.fake = self.server.fake
        self.number = self.fake.connected()

    def log_message(self, *_: object) -> None:
        """Nothing: tests look at `requests`."""

    def do_HEAD(self) -> None:
        self._note()
        self._answer(200, b"")

    def do_GET(self) -> None:
        self._note()
        try:
            self._answer(200, self._asked(*self.path.partition("?")[::2]))
        except Refusal as refusal:
            self._answer(refusal.status, refusal.body)

    def do_POST(self) -> None:
        self._note()
        try:
            body = self._body()
            if self.path == ADD:
                self._add(body)
            elif self.path == LOGIN:
                self._answer(200, {"token": self._log_in(body)})
            elif self.path == LOGOUT:
                self._need_authorization()
                self.fake.log_out(self._authorization)
                self._answer(204, b"")
            else:
                raise _absent("Not found.")
        except Refusal as refusal:
            self._answer(refusal.status, refusal.body)

    def _asked(self, path: str, query: str) -> dict[str, Any]:
        self._need_authorization()
        if not self.fake.may_read:
            raise Refusal(403, "You do not have permission to perform this action.", code="PERMISSION_DENIED")
        if path == CAMERAS:
            return {"results": [{"id": number, "external_detector_token": token} for number, token in self.fake.cameras.items()]}
        if path == EVENTS:
            return self.fake.page(dict(urllib.parse.parse_qsl(query, keep_blank_values=True)))
        if event := re.fullmatch(rf"{EVENTS}(\d+)/", path):
            for found in self.fake.page({"id_in": event[1]})["results"]:
                return dict(found)
        raise _absent("No FaceEvent matches the given query.")

    def _add(self, body: bytes) -> None:
        with self.fake.in_hand():
            try:
                self._need_authorization()
                fields = form.parsed(self.headers.get("Content-Type", ""), body)
                form.check(fields, self.fake.cameras)
            except Refusal as refusal:
                self.fake.refused.append(str(refusal))
                raise
            fault = Fault.POISON if self._poisonous(fields) else self.fake.next_fault()
            if fault is None:
                self._answer(200, self._take(fields))
            else:
                self._fail(fault, fields)

    def _fail(self, fault: Fault, fields: Form) -> None:
        if fault in _INSTEAD:
            if fault is Fault.EXPIRED:
                self.fake.sessions.clear()
            headers = {"Retry-After": str(self.fake.retry_after_s)} if fault is Fault.TOO_MANY else {}
            headers |= {"Location": "https://elsewhere.invalid/login"} if fault is Fault.REDIRECT else {}
            status, body = _INSTEAD[fault]
            self._answer(status, body, headers)
            return
        if fault is Fault.RESET:
            self._reset()
            return
        if fault is Fault.SLOW:
            self.server.leaving.wait(self.fake.slow_s)
        answer = self._take(fields)
        if fault is Fault.SLOW:
            self._answer(200, answer)
        elif fault is Fault.DRIPPING:
            self._drip(json.dumps(answer).encode())
        elif fault in _AFTER_STORING:
            self._answer(*_AFTER_STORING[fault])
        elif fault is Fault.SILENT:
            self.server.leaving.wait()
            self.close_connection = True
        else:
            self._reset()

    def _poisonous(self, fields: Form) -> bool:
        return digest(fields["fullframe"][0]) in self.fake.poison

    def _take(self, fields: Form) -> dict[str, Any]:
        return {"events": [self.fake.store(fields, self._authorization, self.number).id], "errors": []}

    def _drip(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for position in range(len(content)):
            self.wfile.write(content[position : position + 1])
            self.wfile.flush()
            if self.server.leaving.wait(self.fake.slow_s):
                break
        self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.close()
        self.close_connection = True

    def _log_in(self, body: bytes) -> str:
        if not json.loads(body).get("uuid"):
            raise Refusal(400, "This field is required.", "uuid")
        token = self.fake.log_in(self._authorization)
        if not token:
            raise Refusal(401, "Invalid username/password.", code="UNAUTHORIZED")
        return token

    def _need_authorization(self) -> None:
        if not self.fake.admits(self._authorization):
            raise Refusal(401, "Authentication credentials were not provided.", code="UNAUTHORIZED")

    @property
    def _authorization(self) -> str:
        return self.headers.get("Authorization", "")

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        if length > BODY_MAX_bytes:
            self.close_connection = True  # the rest of it is not read
            raise Refusal(413, "Request entity too large.", code="TOO_LARGE")
        return self.rfile.read(length)

    def _note(self) -> None:
        self.fake.note(f"{self.command} {self.path}")

    def _answer(self, status: int, body: bytes | dict[str, Any], headers: Mapping[str, str] = MappingProxyType({})) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(body, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _absent(desc: str) -> Refusal:
    return Refusal(404, desc, code="NOT_FOUND")
