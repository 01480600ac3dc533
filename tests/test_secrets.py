"""Secrets that stand in files: read again when they are needed, never lost while somebody replaces the file, never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgegw import config
from edgegw.config import Settings
from edgegw.config.secret import KEPT, KnownSecrets, Secret, SecretFile, Unfit
from tests.config_cases import options_of

TEXT = """
[sensors.front]
driver = "lidar"
port = "virtual"

[sinks.rabbitmq]
url = "amqp://gw@broker"
password_file = "rabbitmq.password"

[sinks.mysql]
url = "mysql://gw@db/edge"
"""


def in_file(file: Path, text: str = "first", what: str = "password") -> Secret:
    file.write_text(text)
    return Secret(text, SecretFile(file, what))


def load(folder: Path) -> Settings:
    file = folder / "edgegw.toml"
    file.write_text(TEXT)
    return config.load(file, environ={"HOME": "/", "CREDENTIALS_DIRECTORY": str(folder / "credentials")}, options_of=options_of)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration with one password in a password_file and one in a systemd credential."""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "mysql_password").write_text("from systemd")
    (tmp_path / "rabbitmq.password").write_text("from file\n")
    return tmp_path


def test_a_file_is_read_again_for_each_connection(folder: Path) -> None:
    """password_file and systemd's credential alike; a text of the environment or the URL stays as it is."""
    sinks = load(folder).sinks
    assert sinks.rabbitmq is not None
    assert sinks.mysql is not None
    assert (sinks.rabbitmq.password.reveal(), sinks.mysql.password.reveal()) == ("from file", "from systemd")
    (folder / "rabbitmq.password").write_text("rotated\r\n")
    (folder / "credentials" / "mysql_password").write_text("rotated, too")
    assert (sinks.rabbitmq.password.reveal(), sinks.mysql.password.reveal()) == ("rotated", "rotated, too")


@pytest.mark.parametrize("content", [None, b"", b"\n", b"two\nlines", b"\xff", b"nul\0"])
def test_a_file_that_holds_none_just_now_changes_nothing(tmp_path: Path, content: bytes | None) -> None:
    """While it is being replaced, or was spoilt, the last good text stands; once it is good again, that is taken."""
    secret = in_file(tmp_path / "pw")
    (tmp_path / "pw").write_text("second")
    assert secret.reveal() == "second"
    (tmp_path / "pw").unlink() if content is None else (tmp_path / "pw").write_bytes(content)
    assert secret.reveal() == "second"
    (tmp_path / "pw").write_text("third")
    assert secret.reveal() == "third"


def test_a_token_that_is_none_changes_nothing(tmp_path: Path) -> None:
    """What no HTTP header can carry is not taken over from the file."""
    secret = in_file(tmp_path / "token", "t0ken", "token")
    (tmp_path / "token").write_text("näh")
    assert secret.reveal() == "t0ken"
    with pytest.raises(Unfit, match="no token has"):
        SecretFile(tmp_path / "token", "token").read()


def test_the_file_is_found_from_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that was named by a relative path still knows its files when the process has gone elsewhere."""
    monkeypatch.chdir(folder)
    (folder / "edgegw.toml").write_text(TEXT)
    environ = {"HOME": "/", "EDGEGW_MYSQL_PASSWORD": "x"}
    sink = config.load(Path("edgegw.toml"), environ=environ, options_of=options_of).sinks.rabbitmq
    assert sink is not None
    monkeypatch.chdir("/")
    (folder / "rabbitmq.password").write_text("rotated")
    assert sink.password.reveal() == "rotated"


def test_a_rotated_password_is_no_change_of_the_configuration(folder: Path) -> None:
    """Loaded before and after, the settings are equal, and so are their marks; another file, or another text, is a change."""
    before = load(folder)
    (folder / "rabbitmq.password").write_text("rotated")
    after = load(folder)
    assert before.sinks == after.sinks
    assert before.sinks.rabbitmq is not None
    assert after.sinks.rabbitmq is not None
    assert before.sinks.rabbitmq.password.mark == after.sinks.rabbitmq.password.mark
    assert hash(before.sinks.rabbitmq.password) == hash(after.sinks.rabbitmq.password)
    assert len({secret.mark for secret in (Secret("a"), Secret("b"), in_file(folder / "1", "a"), in_file(folder / "2", "a"))}) == 4
    assert in_file(folder / "1", "a") != Secret("a")


def test_known_secrets_grow_by_what_was_revealed(folder: Path) -> None:
    """Old and new texts are known, each once, the empty and the public one never."""
    settings = load(folder)
    known = settings.secrets()
    assert list(known) == ["from file", "from systemd"]
    (folder / "rabbitmq.password").write_text("rotated")
    assert settings.sinks.rabbitmq is not None
    settings.sinks.rabbitmq.password.reveal()
    assert list(known) == ["from file", "rotated", "from systemd"]
    assert (len(known), "rotated" in known, "rot" in known, repr(known)) == (3, True, False, "KnownSecrets(3)")
    assert list(KnownSecrets([Secret("guest"), Secret(""), Secret("x")], ["x", ""], ["guest"])) == ["x"]


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    """A file that is rotated without end leaves its last texts; one that comes back is remembered once, and as the newest."""
    secret = in_file(tmp_path / "pw", "0")
    for number in range(1, 3 * KEPT):
        (tmp_path / "pw").write_text(str(number))
        secret.reveal()
    assert secret.seen == tuple(map(str, range(2 * KEPT, 3 * KEPT)))
    (tmp_path / "pw").write_text(str(2 * KEPT))
    secret.reveal()
    assert secret.seen == (*map(str, range(2 * KEPT + 1, 3 * KEPT)), str(2 * KEPT))


def test_a_pipe_in_the_place_of_the_file_holds_up_nobody(tmp_path: Path) -> None:
    """A FIFO that nobody writes to would block its reader for ever, and with it the sink."""
    secret = in_file(tmp_path / "pw")
    (tmp_path / "pw").unlink()
    os.mkfifo(tmp_path / "pw")
    assert secret.reveal() == "first"
