"""Sinks in the configuration: URLs, TLS, and passwords, which are found in order and shown to nobody."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from edgegw import config
from edgegw.config import MySQLSettings, RabbitMQSettings, Secret, Settings
from edgegw.errors import ConfigError, Problem
from tests.config_cases import options_of

SENSOR = '[sensors.front]\ndriver = "lidar"\nport = "virtual"\n'
PASSWORD = "sw0rdf1sh"
ENVIRON = {"HOME": "/home/pi", "EDGEGW_RABBITMQ_PASSWORD": PASSWORD, "EDGEGW_MYSQL_PASSWORD": PASSWORD}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edgegw.toml"
    path.touch(mode=0o600)
    return path


def load(file: Path, text: str, environ: Mapping[str, str] = ENVIRON) -> Settings:
    file.write_text(SENSOR + text)
    return config.load(file, environ=environ, options_of=options_of)


def problem(file: Path, text: str, environ: Mapping[str, str] = ENVIRON) -> Problem:
    with pytest.raises(ConfigError) as caught:
        load(file, text, environ)
    (only,) = caught.value.problems
    return only


def rabbitmq(file: Path, url: str, more: str = "", environ: Mapping[str, str] = ENVIRON) -> RabbitMQSettings:
    sink = load(file, f'[sinks.rabbitmq]\nurl = "{url}"\n{more}', environ).sinks.rabbitmq
    assert sink is not None
    return sink


def mysql(file: Path, url: str, more: str = "", environ: Mapping[str, str] = ENVIRON) -> MySQLSettings:
    sink = load(file, f'[sinks.mysql]\nurl = "{url}"\n{more}', environ).sinks.mysql
    assert sink is not None
    return sink


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "vhost", "tls"),
    [
        ("amqp://gw@broker", "broker", 5672, "gw", "/", False),
        ("amqps://gw@broker/", "broker", 5671, "gw", "/", True),
        ("AMQPS://gw@Broker.Example:1234/edge", "broker.example", 1234, "gw", "edge", True),
        ("amqp://g%40w@[::1]/%2Fa%2F", "::1", 5672, "g@w", "/a/", False),
        ("amqp://localhost", "localhost", 5672, "guest", "/", False),
    ],
)
def test_an_amqp_url_is_taken_apart(file: Path, url: str, host: str, port: int, user: str, vhost: str, tls: bool) -> None:
    """Scheme, user, host, port and virtual host come out decoded, with AMQP's default ports."""
    sink = rabbitmq(file, url)
    assert (sink.host, sink.port, sink.user, sink.vhost, sink.tls) == (host, port, user, vhost, tls)
    assert (sink.exchange, sink.queue, sink.declare, sink.format, sink.heartbeat_s) == ("edgegw.readings",) * 2 + (True, "json", 15)


@pytest.mark.parametrize(
    ("url", "more", "tls"),
    [
        ("mysql://gw@db/edge", "", True),
        ("mysql://gw@db/edge", 'tls = "off"', False),
        ("mysql://gw@localhost:3307/edge", "", False),
        ("mysql://gw@127.8.9.10/edge", "", False),
        ("mysql://gw@[::1]/edge", 'tls = "verify"', True),
        ("mysql://gw@db/edge", 'socket = "/run/mysqld/mysqld.sock"', False),
    ],
)
def test_mysql_is_encrypted_unless_it_stays_on_this_machine(file: Path, url: str, more: str, tls: bool) -> None:
    """tls = "auto" verifies every server that is reached over a network; an operator's word wins."""
    sink = mysql(file, url, more)
    assert (sink.tls, sink.user, sink.database, sink.batch_rows) == (tls, "gw", "edge", 500)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("amqp:/gw@broker", "must start with amqp:// or amqps://"),
        ("http://gw@broker", "must start with"),
        (f"rabbit://gw:{PASSWORD}@broker", "must start with"),
        (f"amqp://gw:{PASSWORD}/@broker", "cannot be read"),
        (f"amqp://gw:{PASSWORD}#@broker", "cannot be read"),
        (f"amqp://gw:{PASSWORD}@broker:70000", "cannot be read"),
        (f"amqp://gw:{PASSWORD}@broker:0", "port is 0"),
        (f"amqp://gw:{PASSWORD}@[::1", "cannot be read"),
        (f"amqp://gw:{PASSWORD}@/edge", "names no host"),
        (f"amqp://gw:{PASSWORD}@bro!ker/edge", "not a name or address"),
        (f"amqp://gw:{PASSWORD} @broker", "blank"),
        (f"amqp://gw:{PASSWORD}@broker/a/b", "more than one part"),
        (f"amqp://gw:{PASSWORD}@broker/a?no_verify_ssl=1", "after ? or #"),
        (f"amqp://gw:{PASSWORD}%ff@broker", "not UTF-8"),
        (f"amqp://gw:{PASSWORD}%00@broker", "NUL"),
    ],
)
def test_an_odd_url_is_refused_without_being_repeated(file: Path, url: str, what: str) -> None:
    """Whatever is odd in a URL is one problem at its line, and no part of it appears in the sentence."""
    found = problem(file, f'[sinks.rabbitmq]\nurl = "{url}"\n')
    assert what in found.what
    assert (found.line, found.key) == (5, "sinks.rabbitmq.url")
    assert PASSWORD not in str(found)


def test_passwords_are_looked_for_in_order(file: Path) -> None:
    """password_file, else the systemd credential, else the environment, else the URL."""
    (file.parent / "given").write_text("from file\r\n")
    (file.parent / "rabbitmq_password").write_text("from credential")
    full = {"CREDENTIALS_DIRECTORY": str(file.parent), "EDGEGW_RABBITMQ_PASSWORD": "from environment"}
    url = "amqp://gw:from%20url@broker"
    assert rabbitmq(file, url, 'password_file = "given"', full).password.reveal() == "from file"
    assert rabbitmq(file, url, "", full).password.reveal() == "from credential"
    (file.parent / "rabbitmq_password").unlink()
    assert rabbitmq(file, url, "", full).password.reveal() == "from environment"
    assert rabbitmq(file, url, "", {"EDGEGW_MYSQL_PASSWORD": "another's"}).password.reveal() == "from url"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_password_in_a_url_needs_a_private_file(file: Path, mode: int) -> None:
    """A URL with a password is refused where others can read the file, even when another password is in use."""
    file.chmod(mode)
    for more in ("", 'password_file = "given"\n'):
        (file.parent / "given").write_text("x")
        found = problem(file, f'[sinks.rabbitmq]\nurl = "amqp://gw:{PASSWORD}@broker"\n{more}', {})
        assert (found.line, found.key) == (5, "sinks.rabbitmq.url")
        assert f"chmod 600 {file}" in found.suggestion
        assert PASSWORD not in str(found)


def test_only_the_file_that_holds_the_password_must_be_private(file: Path) -> None:
    """A private drop-in may carry the URL while everybody can read the main file, and not the other way round."""
    file.chmod(0o644)
    (file.parent / "conf.d").mkdir()
    drop_in = file.parent / "conf.d" / "secret.toml"
    drop_in.touch(mode=0o600)
    drop_in.write_text(f'[sinks.mysql]\nurl = "mysql://gw:{PASSWORD}@db/edge"\n')
    sink = load(file, "", {}).sinks.mysql
    assert sink is not None
    assert sink.password.reveal() == PASSWORD
    drop_in.chmod(0o644)
    assert problem(file, "", {}).file == str(drop_in)


def test_a_flag_may_not_carry_a_password(file: Path) -> None:
    """The process list shows command lines to everybody, so a URL with a password is refused there."""
    file.write_text(SENSOR)
    flags = {"sinks.mysql.url": f"mysql://gw:{PASSWORD}@db/edge"}
    with pytest.raises(ConfigError, match="other users can read command lines") as caught:
        config.load(file, environ={}, overrides=flags, options_of=options_of)
    assert PASSWORD not in str(caught.value)


def test_a_password_in_a_sensors_url_is_guarded_too(file: Path) -> None:
    """A camera's URL with a password needs a private file as well, and the log is told to blot it out."""
    text = f'[sensors.eye]\ndriver = "camera"\nsource = "rtsp://gw:{PASSWORD}@camera/1"\n'
    assert tuple(load(file, text).secrets()) == (PASSWORD,)
    file.chmod(0o644)
    assert problem(file, text).key == "sensors.eye.source"


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"a\nb\n", "more than one line"), (b"\xff", "UTF-8"), (b"a\0", "more than")],
)
def test_a_bad_password_file_is_told_without_its_content(file: Path, content: bytes, what: str) -> None:
    """What cannot be a password is a problem at password_file; its content is not shown."""
    (file.parent / "given").write_bytes(content)
    found = problem(file, '[sinks.rabbitmq]\nurl = "amqp://gw@broker"\npassword_file = "given"\n')
    assert what in found.what
    assert (found.line, found.key) == (6, "sinks.rabbitmq.password_file")


def test_guest_is_for_this_machine_only(file: Path) -> None:
    """guest with the password guest is the default towards loopback, is no secret there, and is refused to go anywhere else."""
    settings = load(file, '[sinks.rabbitmq]\nurl = "amqp://127.0.0.1"\n', {})
    assert settings.sinks.rabbitmq is not None
    assert settings.sinks.rabbitmq.password.reveal() == settings.sinks.rabbitmq.user == "guest"
    assert tuple(settings.secrets()) == ()
    assert "its own host only" in problem(file, '[sinks.rabbitmq]\nurl = "amqp://guest:guest@broker"\n', {}).what
    assert "names no user" in problem(file, '[sinks.rabbitmq]\nurl = "amqp://broker"\n').what


def test_a_local_mysql_needs_no_password(file: Path) -> None:
    """A server on this machine may know us by our user id; one elsewhere needs a password."""
    assert not mysql(file, "mysql://gw@localhost/edge", "", {}).password
    assert "no password for the user 'gw'" in problem(file, '[sinks.mysql]\nurl = "mysql://gw@db/edge"\n', {}).what


def test_a_certificate_file_must_hold_one(file: Path) -> None:
    """ca_file is looked into at once, not when the connection is first made."""
    ca = file.parent / "ca.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----\n")
    assert rabbitmq(file, "amqps://gw@broker", 'ca_file = "ca.pem"').ca_file == ca
    ca.write_text("hello")
    assert "no certificate" in problem(file, '[sinks.rabbitmq]\nurl = "amqps://gw@broker"\nca_file = "ca.pem"\n').what


def test_sqlite_beside_others_only_when_asked_for(file: Path) -> None:
    """The embedded store is off beside another sink, unless it has a section of its own."""
    text = '[sinks.mysql]\nurl = "mysql://gw@db/edge"\n'
    assert load(file, text).sinks.sqlite is None
    assert load(file, text + "[sinks.sqlite]\n").sinks.sqlite is not None


def test_secrets_show_nowhere(file: Path) -> None:
    """No way of turning Settings into text shows a password; secrets() hands them to the log, which must know them."""
    text = f'[sinks.rabbitmq]\nurl = "amqps://gw:{PASSWORD}1@broker"\n[sinks.mysql]\nurl = "mysql://gw:{PASSWORD}2@db/edge"\n'
    settings = load(file, text, {"HOME": "/home/pi"})
    assert tuple(settings.secrets()) == (f"{PASSWORD}1", f"{PASSWORD}2")
    shown = [repr(settings), str(settings), f"{settings}", repr(msgspec.structs.asdict(settings.sinks)), repr(copy.deepcopy(settings))]
    assert [each for each in shown if PASSWORD in each] == []
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)
    # All else wrong at once: still nothing.
    with pytest.raises(ConfigError) as caught:
        load(file, text.replace("broker", "bro ker").replace("/edge", "") + 'batch_rows = "x"\npassword = "hunter2"\n', {})
    error = caught.value
    assert len(error.problems) >= 4
    assert not any(word in f"{error}{error!r}{error.problems!r}" for word in (PASSWORD, "hunter2"))


def test_a_secret_is_compared_but_not_seen() -> None:
    """Two Secrets of the same text are equal (a reload compares them); repr, str and format show stars, an empty one is false."""
    secret = Secret(PASSWORD)
    assert secret == Secret(PASSWORD)
    assert hash(secret) == hash(Secret(PASSWORD))
    assert secret not in (Secret("other"), PASSWORD)
    assert (str(secret), f"{secret}", repr(secret)) == ("***", "***", "Secret('***')")
    assert bool(secret) is not bool(Secret(""))
    assert secret.reveal() == PASSWORD
