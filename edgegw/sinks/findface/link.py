"""The connections to FindFace: a bounded pool, a deadline on the whole of each request, and a bound on what is read of an answer."""

from __future__ import annotations

import asyncio
import contextlib
import http.cookiejar
import logging
import ssl
from typing import Any

import httpx

from edgegw.sinks.findface import lookup
from edgegw.sinks.findface.answers import Answer, Fate, judge, wait_s, words
from edgegw.sinks.findface.event import Event
from edgegw.sinks.findface.lookup import Found
from edgegw.sinks.findface.server import Camera, Server
from edgegw.sinks.findface.trouble import failed

ADD, EVENTS, LOGIN, LOGOUT = "/events/faces/add/", "/events/faces/", "/auth/login/", "/auth/logout/"
BODY_MAX_bytes = 1 << 18  # of an answer: a page of events has 20 kB; what is longer is cut
IDLE_s = 15.0  # servers close idle connections, mostly after a minute; ours go first, so that none dies under a request
FAREWELL_s = 2.0
_REDIRECT, _UNAUTHORIZED, _ERROR = 300, 401, 500


class NoAnswer(Exception):
    """Why there is none, as a verdict."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.said)


class Link:
    """Lives in one asyncio loop. Its methods return verdicts and raise nothing but bugs."""

    def __init__(self, server: Server) -> None:
        _hush()
        self._server = server
        self._session = ""  # the token of our login
        self._logging_in = asyncio.Lock()
        self._client = httpx.AsyncClient(
            base_url=server.url,
            # Where nothing is encrypted, a context that trusts nobody is never used, and cheaper than the one httpx would make.
            verify=server.tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=httpx.Timeout(server.timeout_s, connect=server.timeout_s / 2),  # of each step; asyncio bounds them all together
            limits=httpx.Limits(max_connections=server.connections, max_keepalive_connections=server.connections, keepalive_expiry=IDLE_s),
            headers={"User-Agent": "edgegw", "Accept": "application/json", "Accept-Encoding": "identity"},
            follow_redirects=False,  # a picture goes where the configuration says, and nowhere else
            cookies=_no_cookies(),  # a session beside the token would make servers ask for more
            trust_env=False,  # no proxy and no .netrc that the configuration does not know of
        )

    async def probe(self) -> Answer:
        """Whether somebody answers and lets us in, with the cheapest question that shows it; TAKEN where all is well."""
        try:
            if self._server.user and not self._session:
                await self._log_in("")
            if self._server.look_up:
                found = await self._request("GET", EVENTS, params={"limit": "1"})
                return _admitted(*found)
            status, body, retry_after = await self._request("HEAD", "/")
        except NoAnswer as none:
            return none.answer
        return Answer(Fate.AWAY, str(status), words(status, body), wait_s(retry_after)) if status >= _ERROR else Answer(Fate.TAKEN)

    async def add(self, event: Event, camera: Camera) -> Answer:
        """Send one face."""
        fields: dict[str, Any] = {"token": camera.token(), "camera": str(camera.id), "mf_selector": "biggest", "timestamp": event.timestamp}
        if event.roi is not None:
            fields["roi"] = [str(side) for side in event.roi]  # four fields of one name
        picture = {"fullframe": ("face.jpg", event.jpeg, "image/jpeg")}
        try:
            status, body, retry_after = await self._request("POST", ADD, data=fields, files=picture)
        except NoAnswer as none:
            return none.answer
        return judge(status, body, retry_after)

    async def find(self, event: Event, camera: Camera) -> Found | Answer:
        """Look whether a face is there already; an Answer where the server is in trouble."""
        try:
            status, body, retry_after = await self._request("GET", EVENTS, params=lookup.question(event, camera))
        except NoAnswer as none:
            return none.answer
        if status >= _ERROR:
            return Answer(Fate.AWAY, str(status), words(status, body), wait_s(retry_after))
        return lookup.found(status, body, event, camera)

    async def close(self) -> None:
        """Log out where we logged in, as far as that is possible in FAREWELL_s, and let go of the connections."""
        if self._session:
            with contextlib.suppress(NoAnswer, TimeoutError):
                async with asyncio.timeout(FAREWELL_s):
                    await self._exchange("POST", LOGOUT, headers=self._authorization())
        with contextlib.suppress(httpx.HTTPError, OSError):
            await self._client.aclose()

    async def _request(self, method: str, path: str, **more: Any) -> tuple[int, bytes, str]:
        """Status, body and Retry-After of the answer; a login that has expired is renewed once. Raises NoAnswer."""
        used = self._session
        answer = await self._exchange(method, path, headers=self._authorization(), **more)
        if answer[0] == _UNAUTHORIZED and self._server.user:
            await self._log_in(used)
            answer = await self._exchange(method, path, headers=self._authorization(), **more)
        return answer

    async def _log_in(self, expired: str) -> None:
        """Get a new token, unless another request has done so already. Raises NoAnswer."""
        async with self._logging_in:
            if self._session != expired:
                return
            auth = httpx.BasicAuth(self._server.user, self._server.password())
            status, body, retry_after = await self._exchange("POST", LOGIN, auth=auth, json={"uuid": self._server.device})
            token = lookup.token(body) if status < _REDIRECT else ""
            if not token:
                raise NoAnswer(_not_in(status, body, retry_after))
            self._session = token

    def _authorization(self) -> dict[str, str]:
        token = self._session or self._server.token()
        return {"Authorization": f"Token {token}"} if token else {}

    async def _exchange(self, method: str, path: str, **more: Any) -> tuple[int, bytes, str]:
        try:
            async with asyncio.timeout(self._server.timeout_s), self._client.stream(method, path, **more) as response:
                return response.status_code, await _start(response), response.headers.get("Retry-After", "")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError, OSError) as error:
            raise NoAnswer(failed(error, self._server.timeout_s)) from error


async def _start(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) >= BODY_MAX_bytes:
            break
    return bytes(body[:BODY_MAX_bytes])


def _admitted(status: int, body: bytes, retry_after: str) -> Answer:
    """What the answer to a first look-up says about our rights."""
    if status in (401, 403):
        return Answer(Fate.REFUSED, str(status), f"{words(status, body)}; give the token the right to read events, or set look_up = false")
    verdict = judge(status, body, retry_after)
    return Answer(Fate.AWAY, verdict.code, verdict.said, verdict.wait_s) if status >= _REDIRECT else Answer(Fate.TAKEN)


def _not_in(status: int, body: bytes, retry_after: str) -> Answer:
    if status in (400, 401, 403):
        return Answer(Fate.REFUSED, str(status), f"the login was refused ({words(status, body)}); check user and password")
    return Answer(Fate.AWAY, str(status), f"no login: {words(status, body)}", wait_s(retry_after))


def _no_cookies() -> http.cookiejar.CookieJar:
    return http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))


def _hush() -> None:
    """httpx tells each request at INFO, and httpcore its headers at DEBUG; a level that somebody set before stays."""
    for library in ("httpx", "httpcore"):
        logger = logging.getLogger(library)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
