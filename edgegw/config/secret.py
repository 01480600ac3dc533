"""A password that shows itself only when asked by name, and the file that it may stand in."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import final

import msgspec

from edgegw.config.layers import read_small

KEPT = 16  # texts that one file has held; who rotates a password keeps the last one valid, not the last sixteen


class Unfit(Exception):
    """What a file holds is no secret; says what it is instead, and `hint` what it should be."""

    def __init__(self, why: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(why)


class SecretFile(msgspec.Struct, frozen=True):
    """A file with one secret in it and nothing else; `what` that is: password or token."""

    path: Path
    what: str

    def read(self) -> str:
        """The secret that it holds now. Raises Unfit, in words that go on after the file's name."""
        try:
            text = read_small(self.path)[0].decode()
        except OSError as error:
            raise Unfit(str(error)) from error
        except UnicodeDecodeError as error:
            raise Unfit("is not UTF-8 text") from error
        secret = text.removesuffix("\n").removesuffix("\r")  # an editor's last line end is not part of it
        if not secret or "\0" in secret or "\n" in secret:
            raise Unfit("is empty" if not secret else "holds more than one line of text", f"it holds the {self.what} alone")
        if self.what == "token" and not (secret.isascii() and secret.isprintable() and " " not in secret):
            raise Unfit("holds a character that no token has", "it is one word of letters and digits")
        return secret


@final
class Secret:
    """Text whose repr(), str() and format() are three stars.

    Of a file it is what that file holds now. Two are equal that have the same file, or no file and the same text: a password that
    was rotated is no change of the configuration.
    """

    __slots__ = ("_file", "_seen")

    def __init__(self, text: str, file: SecretFile | None = None) -> None:
        self._file = file
        self._seen: tuple[str, ...] = (text,)

    def reveal(self) -> str:
        """The text itself, read anew where it stands in a file; call it where a connection is made and nowhere else.

        A file that is missing or empty just then is being replaced, so the last good text stands.
        """
        if self._file is not None:
            with contextlib.suppress(OSError, Unfit):
                if self._file.path.is_file():  # a pipe gave what it had when it was read first, and would wait for more for ever
                    self._note(self._file.read())
        return self._seen[-1]

    @property
    def seen(self) -> tuple[str, ...]:
        """Every text that it has been, the present one last; of a file that was rotated often, the last KEPT."""
        return self._seen

    @property
    def mark(self) -> str:
        """Tells a changed configuration from the same: the file's name, or the text itself, and then as secret as that."""
        return f"{self._file.what} in {self._file.path}" if self._file else self._seen[-1]

    def _note(self, text: str) -> None:
        if text != self._seen[-1]:
            self._seen = (*(old for old in self._seen if old != text), text)[-KEPT:]

    def __bool__(self) -> bool:
        return bool(self._seen[-1])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (other._file, other.mark) == (self._file, self.mark)

    def __hash__(self) -> int:
        return hash(self.mark)

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return "Secret('***')"


@final
class KnownSecrets(Collection[str]):
    """All texts that must not be shown: those given, and whatever the secrets have been up to now. It grows when a file was rotated."""

    def __init__(self, secrets: Sequence[Secret], texts: Sequence[str], public: Collection[str] = ()) -> None:
        """`public`: texts that are no secret, although somebody uses them as one."""
        self._secrets = tuple(secrets)
        self._texts = tuple(texts)
        self._public = frozenset({"", *public})
        self._seen: list[tuple[str, ...]] | None = None
        self._every: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        seen = [secret._seen for secret in self._secrets]  # the log asks for each text that it writes, so this must cost next to nothing
        if seen != self._seen:
            found = (*itertools.chain(*seen), *self._texts)
            self._every = tuple(dict.fromkeys(text for text in found if text not in self._public))
            self._seen = seen
        return iter(self._every)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, text: object) -> bool:
        return any(each == text for each in self)

    def __repr__(self) -> str:
        return f"KnownSecrets({len(self)})"
