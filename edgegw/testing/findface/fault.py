"""The faults that a server, or something on the way to it, may have."""

from __future__ import annotations

import enum


class Fault(enum.Enum):
    """What a server may do instead of taking a face."""

    SLOW = enum.auto()  # takes it, after slow_s
    DRIPPING = enum.auto()  # takes it, and sends the answer a byte every slow_s
    SILENT = enum.auto()  # takes it, and never answers
    RESET_AFTER_STORING = enum.auto()  # takes it, and the connection breaks before the answer
    NONSENSE_AFTER_STORING = enum.auto()  # takes it, and something in between answers 200 with HTML
    STRANGE_AFTER_STORING = enum.auto()  # takes it, and answers 200 with JSON that is not FindFace's
    GATEWAY = enum.auto()  # takes it, and a proxy answers 504
    POISON = enum.auto()  # 500: it fails over the picture
    RESET = enum.auto()  # breaks the connection
    BUSY = enum.auto()  # 503 in HTML
    TOO_MANY = enum.auto()  # 429 with Retry-After: retry_after_s
    REDIRECT = enum.auto()  # 302 to somewhere else
    NO_FACE = enum.auto()  # 200 with empty objects
    NO_FACE_400 = enum.auto()  # 400 with a sentence
    BAD_PICTURE = enum.auto()  # 400
    TOO_LARGE = enum.auto()  # 413 of a proxy, in HTML
    NOT_FOUND = enum.auto()  # 404 of something else, in HTML
    EXPIRED = enum.auto()  # 401; logins so far are void
