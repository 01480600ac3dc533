"""Takes the URL of a broker or database apart, strictly: what is odd is refused, never guessed at."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
_PASSWORD = re.compile(r"://[^/?#\s:@]*:([^/\s]+)@")
_ENCODE = "in a name or password % : / ? # @ are written %25 %3A %2F %3F %23 %40; a password is better kept in password_file"


class Address(NamedTuple):
    """What a URL says; "" for what it does not say."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    name: str  # virtual host or database

    @property
    def local(self) -> bool:
        """Whether the way there never leaves this machine."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class UrlError(ValueError):
    """A URL that cannot be used: what is wrong and what to write. Never repeats the URL, which may carry a password."""

    def __init__(self, what: str, suggestion: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.suggestion = suggestion


def parse(url: str, ports: Mapping[str, int], example: str = "") -> Address:
    """`url` taken apart; `ports` has the default port of each allowed scheme, `example` is a right URL. Raises UrlError."""
    allowed = " or ".join(f"{scheme}://" for scheme in ports)
    if not url.isprintable() or " " in url:
        raise UrlError("the URL holds a blank or a control character", _ENCODE)
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme not in ports:
        raise UrlError(f"the URL must start with {allowed}", f"as in {example or f'{next(iter(ports))}://user@host/name'}")
    parts, port = _split(url)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise UrlError("the URL has a part after ? or #, which has no meaning here", f"options are keys of this section; {_ENCODE}")
    if not _HOST.fullmatch(parts.hostname or ""):
        raise UrlError("the URL names no host" if not parts.hostname else "the URL's host is not a name or address", _ENCODE)
    user, password, name = _decoded(parts.username or "", parts.password or "", parts.path.removeprefix("/"))
    return Address(scheme, parts.hostname or "", port or ports[scheme], user, password, name)


def password_in(url: str) -> str:
    """The password that `url` carries, still encoded as it stands there; "" when it carries none, or is no URL."""
    found = _PASSWORD.search(url)
    return found[1] if found else ""


def _split(url: str) -> tuple[urllib.parse.SplitResult, int | None]:
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlError("the URL's host or port cannot be read", f"a port is a number from 1 to 65535; {_ENCODE}") from error
    if port == 0:
        raise UrlError("the URL's port is 0", "a port is a number from 1 to 65535")
    return parts, port


def _decoded(user: str, password: str, name: str) -> tuple[str, str, str]:
    if "/" in name:
        raise UrlError("the URL has more than one part after its host", _ENCODE)
    try:
        decoded = [urllib.parse.unquote(part, errors="strict") for part in (user, password, name)]
    except UnicodeDecodeError as error:
        raise UrlError("the URL has a %-sequence that is not UTF-8", _ENCODE) from error
    if any("\0" in part for part in decoded):
        raise UrlError("the URL holds a NUL character", _ENCODE)
    return decoded[0], decoded[1], decoded[2]
