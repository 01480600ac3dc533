"""[sinks.findface] in the configuration: the address, who we are there, and that every camera that sends is known and no other."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegw import config
from edgegw.config import FindFaceSettings, Secret, Settings
from edgegw.errors import ConfigError, Problem, Refused
from edgegw.sinks import Outbox
from edgegw.sinks.configured import configured

TOKEN, OTHER, PASSWORD = "0123abcd-detector", "4567efgh-api", "sw0rd:fish"
SENSORS = '[sensors.eye]\ndriver = "sender"\nsend_faces = true\n[sensors.front]\ndriver = "lidar"\n'
LEAST = '[sinks.findface]\nurl = "https://ff"\n[sinks.findface.cameras.eye]\ncamera = 3\ntoken_file = "eye.token"\n'


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """A camera."""

    send_faces: bool = False


class Lidar(msgspec.Struct, frozen=True, kw_only=True):
    """No camera."""


SHAPES: dict[str, type[msgspec.Struct]] = {"sender": Sender, "lidar": Lidar}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "eye.token").write_text(f"{TOKEN}\n")
    (tmp_path / "api.token").write_text(OTHER)
    (tmp_path / "password").write_text(PASSWORD)
    path = tmp_path / "edgegw.toml"
    path.touch(mode=0o600)
    return path


def load(file: Path, text: str, environ: Mapping[str, str] | None = None, sensors: str = SENSORS) -> Settings:
    file.write_text(sensors + text)
    return config.load(file, environ={"HOME": "/home/pi"} | dict(environ or {}), options_of=SHAPES.__getitem__)


def findface(file: Path, text: str, environ: Mapping[str, str] | None = None) -> FindFaceSettings:
    found = load(file, text, environ).sinks.findface
    assert found is not None
    return found


def problem(file: Path, text: str, sensors: str = SENSORS) -> Problem:
    with pytest.raises(ConfigError) as caught:
        load(file, text, sensors=sensors)
    (only,) = caught.value.problems
    return only


def more(*lines: str) -> str:
    """LEAST with these keys in [sinks.findface]."""
    return LEAST.replace('url = "https://ff"', "\n".join(['url = "https://ff"', *lines]))


def test_the_least_that_is_needed(file: Path) -> None:
    """A URL, and for each sending camera its number and token; TLS, six connections and no look-up by default."""
    found = findface(file, LEAST)
    assert {name: (each.camera, each.token.reveal()) for name, each in found.cameras.items()} == {"eye": (3, TOKEN)}
    assert (found.url, found.tls, found.token, found.user) == ("https://ff", True, Secret(""), "")
    assert (found.connections, found.timeout_s, found.look_up, found.ca_file) == (6, 10.0, False, None)


def test_the_embedded_store_stays_on(file: Path) -> None:
    """FindFace keeps no readings: beside it alone they still go into the store."""
    assert load(file, LEAST).sinks.sqlite is not None
    assert load(file, LEAST + '[sinks.rabbitmq]\nurl = "amqp://localhost"\n').sinks.sqlite is None


@pytest.mark.parametrize(
    ("url", "given", "tls"),
    [
        ("https://ff.example:8443/multi/", "https://ff.example:8443/multi", True),
        ("HTTPS://FF", "HTTPS://FF", True),
        ("http://localhost:8000", "http://localhost:8000", False),
        ("http://[::1]/", "http://[::1]", False),
    ],
)
def test_a_url_stays_as_it_is(file: Path, url: str, given: str, tls: bool) -> None:
    """But for the slash at its end; plain http is for this machine."""
    found = findface(file, LEAST.replace("https://ff", url))
    assert (found.url, found.tls) == (given, tls)


def test_plain_http_to_another_machine_must_be_asked_for(file: Path) -> None:
    """The sentence says what everybody on the way would see."""
    found = problem(file, LEAST.replace("https://", "http://"))
    assert (found.key, found.line) == ("sinks.findface.url", 7)
    assert "everybody on the way sees the faces" in found.what
    assert "allow_http = true" in found.suggestion
    assert not findface(file, more("allow_http = true").replace("https://", "http://")).tls


@pytest.mark.parametrize(
    ("url", "what", "suggestion"),
    [
        ("ff.example", "must start with https:// or http://", "as in https://findface.example"),
        (f"https://gw:{PASSWORD}@ff", "names a user", 'write user = "…" and password_file'),
        ("https://ff/?a=b", "after ? or #", ""),
        ("https://", "names no host", ""),
    ],
)
def test_an_odd_url_is_refused(file: Path, url: str, what: str, suggestion: str) -> None:
    """In one problem, which does not repeat it."""
    found = problem(file, LEAST.replace("https://ff", url))
    assert found.key == "sinks.findface.url"
    assert what in found.what
    assert suggestion in found.suggestion
    assert PASSWORD not in str(found)


def test_tokens_are_looked_for_in_order(file: Path) -> None:
    """The file, systemd's credential, the environment: for the API and for each camera."""
    folder = file.parent
    environ = {"CREDENTIALS_DIRECTORY": str(folder), "EDGEGW_FINDFACE_TOKEN": "env-api", "EDGEGW_FINDFACE_EYE_TOKEN": "env-eye"}
    (folder / "findface_token").write_text("credential-api")
    (folder / "findface_eye_token").write_text("credential-eye")
    bare = more().replace('token_file = "eye.token"\n', "")

    def tokens(text: str) -> tuple[str, str]:
        found = findface(file, text, environ)
        return found.token.reveal(), found.cameras["eye"].token.reveal()

    assert tokens(more('token_file = "api.token"')) == (OTHER, TOKEN)
    assert tokens(bare) == ("credential-api", "credential-eye")
    (folder / "findface_token").unlink()
    (folder / "findface_eye_token").unlink()
    assert tokens(bare) == ("env-api", "env-eye")


def test_a_sensors_dash_is_an_underscore_in_the_environment(file: Path) -> None:
    """No shell could set it otherwise."""
    text = LEAST.replace("cameras.eye", "cameras.gate-3").replace('token_file = "eye.token"\n', "")
    settings = load(file, text, {"EDGEGW_FINDFACE_GATE_3_TOKEN": TOKEN}, SENSORS.replace("sensors.eye", "sensors.gate-3"))
    assert settings.sinks.findface is not None
    assert settings.sinks.findface.cameras["gate-3"].token == Secret(TOKEN)


@pytest.mark.parametrize("content", ["two words", "t\tb", "Schlüssel", "two\nlines", ""])
def test_a_file_that_holds_no_token_is_told_without_its_content(file: Path, content: str) -> None:
    """What no HTTP header or form could carry is found when the configuration is read."""
    (file.parent / "eye.token").write_text(content)
    found = problem(file, LEAST)
    assert "token" in found.what
    assert not content or content not in str(found)


def test_a_login_needs_user_and_password(file: Path) -> None:
    """And no API token beside it; a colon in the user's name would end it."""
    found = findface(file, more('user = "gw"', 'password_file = "password"'))
    assert (found.user, found.password.reveal()) == ("gw", PASSWORD)
    assert "no password for the user 'gw'" in problem(file, more('user = "gw"')).what
    assert "without user" in problem(file, more('password_file = "password"')).what
    both = problem(file, more('user = "gw"', 'password_file = "password"', 'token_file = "api.token"'))
    assert "one of them is enough" in both.what
    assert "colon" in problem(file, more('user = "g:w"', 'password_file = "password"')).what


def test_a_look_up_needs_somebody_who_may_look(file: Path) -> None:
    """An API token, or a user."""
    found = problem(file, more("look_up = true"))
    assert (found.key, "FINDFACE_TOKEN" in found.suggestion) == ("sinks.findface.look_up", True)
    assert findface(file, more("look_up = true", 'token_file = "api.token"')).look_up
    assert findface(file, more("look_up = true", 'user = "gw"', 'password_file = "password"')).look_up


def test_a_camera_that_sends_needs_its_section(file: Path) -> None:
    """Or a sink at all."""
    found = problem(file, '[sinks.findface]\nurl = "https://ff"\n')
    assert found.key == "sinks.findface.cameras"
    assert "sensors.eye sends pictures" in found.what
    assert "[sinks.findface.cameras.eye]" in found.suggestion
    nobody = problem(file, "")
    assert (nobody.key, nobody.line) == ("sensors.eye.send_faces", 3)
    assert "no sink that takes pictures" in nobody.what


def test_a_section_needs_a_camera_that_sends(file: Path) -> None:
    """One that does not send, or is not there, is told; with the one that was probably meant."""
    extra = '[sinks.findface.cameras.{}]\ncamera = 4\ntoken_file = "eye.token"\n'
    assert "does not send" in problem(file, LEAST + extra.format("front")).what
    found = problem(file, LEAST + extra.format("eyes"))
    assert "no sensor of that name" in found.what
    assert "did you mean [sinks.findface.cameras.eye]?" in found.suggestion
    silent = SENSORS.replace("send_faces = true", "send_faces = false")
    assert "does not send" in problem(file, LEAST, silent).what


def test_a_sensor_that_is_wrong_itself_is_told_once(file: Path) -> None:
    """Nobody knows whether it sends."""
    assert problem(file, LEAST, SENSORS.replace("send_faces = true", 'send_faces = "yes"')).key == "sensors.eye.send_faces"


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("connections", "21", "allowed is 1 to 20"),
        ("connections", "0", "allowed is 1 to 20"),
        ("timeout_s", "0.5", "allowed is 1 to 120"),
        ("look_up", '"yes"', "expected true or false"),
        ("ca_file", '"eye.token"', "no certificate"),
        ("conections", "3", "did you mean connections?"),
    ],
)
def test_a_wrong_value_is_told(file: Path, key: str, value: str, what: str) -> None:
    """At its key, with what is allowed."""
    assert what in str(problem(file, more(f"{key} = {value}")))


def test_a_camera_without_number_or_token(file: Path) -> None:
    """Each is one problem, with what to write."""
    assert "camera = 3" in problem(file, LEAST.replace("camera = 3\n", "")).suggestion
    found = problem(file, LEAST.replace('token_file = "eye.token"\n', ""))
    assert "$EDGEGW_FINDFACE_EYE_TOKEN" in found.suggestion
    assert "out of range" in problem(file, LEAST.replace("= 3", "= 0")).what


def test_every_secret_is_known_to_the_log(file: Path) -> None:
    """API token, password and each detector's token are handed to the log to blot out, and show in no text of the settings."""
    settings = load(file, more('token_file = "api.token"'))
    assert tuple(settings.secrets()) == (OTHER, TOKEN)
    logged_in = load(file, more('user = "gw"', 'password_file = "password"'))
    assert tuple(logged_in.secrets()) == (PASSWORD, TOKEN)
    shown = f"{settings!r} {logged_in!r} {msgspec.structs.asdict(settings.sinks)}"
    assert not any(secret in shown for secret in (TOKEN, OTHER, PASSWORD))


def test_configured_makes_the_sink(file: Path) -> None:
    """With what was configured; its repr shows no secret."""
    sink = next(sink for sink in configured(load(file, more('token_file = "api.token"', "look_up = true"))) if sink.name == "findface")
    assert isinstance(sink, Outbox)
    server = sink._server  # type: ignore[attr-defined] # nobody else has to know it
    assert (server.url, server.token(), server.look_up, server.connections) == ("https://ff", OTHER, True, 6)
    assert server.cameras["eye"].token() == TOKEN
    assert server.tls is not None
    assert not any(secret in repr(server) for secret in (TOKEN, OTHER))


def test_without_httpx_the_others_go_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway starts, the pictures wait, and the sink says what to install."""
    for name in [name for name in sys.modules if name.startswith("edgegw.sinks.findface")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("edgegw.sinks.findface", raising=False)
    monkeypatch.setitem(sys.modules, "httpx", None)
    *others, sink = configured(load(file, LEAST))
    assert [each.name for each in others] == ["sqlite"]
    assert isinstance(sink, Outbox)
    assert (sink.name, sink.kinds) == ("findface", {"face"})
    for attempt in (sink.open, lambda: sink.deliver([])):
        with pytest.raises(Refused, match=r"httpx is not installed: pip install 'edgegw\[findface\]'"):
            attempt()
    sink.close()


VALUES = st.one_of(st.text(max_size=20), st.integers(), st.booleans(), st.floats(), st.just([1]), st.just({"a": 1}), st.none())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["url", "token_file", "user", "look_up", "ca_file", "cameras", "timeout_s", "x"]), VALUES, max_size=4)
)
def test_any_value_is_settings_or_problems(file: Path, values: dict[str, object]) -> None:
    """Nothing that can stand in the section is anything but right or a ConfigError."""
    overrides = {f"sinks.findface.{key}": value for key, value in values.items()}
    file.write_text(SENSORS + LEAST)
    try:
        found = config.load(file, environ={"HOME": "/home/pi"}, overrides=overrides, options_of=SHAPES.__getitem__)
    except ConfigError as error:
        assert error.problems
    else:
        assert found.sinks.findface is not None
