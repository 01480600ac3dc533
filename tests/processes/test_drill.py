"""`edgegw drill` as a stranger runs it; and that each of its judges can say no."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from edgegw import history
from edgegw.cli.drill import Wish, command, processes, room, run, surroundings
from edgegw.cli.drill.luna import VirtualLuna
from edgegw.cli.drill.play import Play
from edgegw.cli.drill.scenario import Scenario
from tests.processes.drilled import Document
from tests.services.base import living, service_dir
from tests.services.mariadb import PASSWORD, Database
from tests.services.rabbitmq import Rabbit, Vhost
from tests.typed import ESCAPE, REPOSITORY, edgegw, environment
from tests.typed import command as typed

SHORT = ("kill-worker", "stop-broker", "unplug", "bad-config")
LONG = os.environ.get("EDGEGW_DRILL") == "all"
long = pytest.mark.skipif(not LONG, reason="takes a minute; EDGEGW_DRILL=all plays everything")


@pytest.fixture
def place() -> Iterator[Path]:
    """A TMPDIR of this test alone, so that what a drill leaves in it is its own; short, for the sockets."""
    made = service_dir("drill")
    yield made
    subprocess.run(["rm", "-rf", str(made)], check=True)


def test_a_stranger_is_convinced(place: Path) -> None:
    """It tells every step, all expectations hold, the books balance, it exits with 0; neither file nor process is left."""
    names = () if LONG else SHORT
    done = edgegw("drill", *names, env=environment(TMPDIR=str(place)), timeout_s=280)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    count = len(names) or len([one for one in command.SCENARIOS if one.needs in ("", "rabbitmq")])
    assert [line.split()[0] for line in lines if line[:1].isdigit()] == [f"{number}/{count}" for number in range(1, count + 1)]
    assert "✗" not in done.stdout
    assert done.stdout.count("✓") >= 4 * count
    assert [line for line in lines if line.startswith("balanced: ")], done.stdout
    assert lines[-1].startswith(f"drill passed: {count} scenarios, ")
    assert ESCAPE not in done.stdout + done.stderr
    assert list(place.iterdir()) == []


def test_ctrl_c_leaves_nothing(place: Path) -> None:
    """SIGINT in the middle of a scenario: gateway, broker, mount and directory are gone, and the exit code is a shell's for that."""
    words, env = typed("drill"), environment(TMPDIR=str(place), PYTHONUNBUFFERED="1")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY, env=env) as drill:
        try:
            assert drill.stdout is not None
            begun = next((line for line in drill.stdout if line.startswith("  → ") and "SIGKILL" in line), "")
            relatives = psutil.Process(drill.pid).children(recursive=True)
            assert str(place) not in Path("/proc/self/mounts").read_text()  # its small disk is nobody else's
            drill.send_signal(signal.SIGINT)
            text, _ = drill.communicate(timeout=60)
        finally:
            drill.kill()
    assert (drill.returncode, begun != "") == (130, True), text
    assert "Interrupted" in text
    assert len(relatives) >= 6  # a supervisor, a bridge, four or five workers, one of them just killed, a broker, a virtual sensor
    assert living(*relatives) == []
    assert list(place.iterdir()) == []


def test_the_list(place: Path) -> None:
    """A line each, of all that can be named; nothing is played. The page has a row for each."""
    done = edgegw("drill", "--list", env=environment(TMPDIR=str(place)))
    names = [one.name for one in command.SCENARIOS]
    assert [line.split()[0] for line in done.stdout.splitlines()] == names
    rows = [line for line in (REPOSITORY / "docs" / "drill.md").read_text().splitlines() if line.startswith("| `")]
    assert [name for name in names if not any(f"`{name}`" in row.split("|")[1] for row in rows)] == []
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["kill-wroker"], 2, "there is no scenario 'kill-wroker' (there are kill-worker, "),
        (["stop-database"], 2, "stop-database needs a server of yours: give its URL with --mysql"),
        (["--keep", "/"], 73, "/ is there already: --keep makes a new directory"),
        (["--rabbitmq", "amqps://u:p@127.0.0.1/"], 78, "--rabbitmq: the URL must start with amqp://"),
        (["--mysql", "mysql://u:rosebud@db.invalid/d"], 78, "ssh -L"),
    ],
    ids=["scenario", "needs", "keep", "rabbitmq", "mysql"],
)
def test_a_slip_of_the_tongue(place: Path, arguments: list[str], code: int, says: str) -> None:
    """What cannot be done is said in a sentence, before anything is started."""
    done = edgegw("drill", *arguments, env=environment(TMPDIR=str(place)))
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert "rosebud" not in done.stderr
    assert list(place.iterdir()) == []


@long
def test_real_servers(place: Path, rabbitmq: Rabbit, vhost: Vhost, database: Database) -> None:
    """A RabbitMQ and a MariaDB behind a proxy: nothing is left in the one, rows in the other, and everything where --keep says."""
    mysql = f"mysql://{database.admin.user}:{PASSWORD}@127.0.0.1:{database.admin.port}/{database.admin.database}"
    broker = f"amqp://{vhost.user}:{vhost.password}@{vhost.host}:{vhost.port}/{vhost.name}"
    names = ("stop-broker", "hang-broker", "stop-database", "hang-database")
    words = (*names, "--json", "--rabbitmq", broker, "--mysql", mysql, "--keep", str(place / "kept"))
    done = edgegw("drill", *words, env=environment(TMPDIR=str(place)), timeout_s=280)
    assert done.returncode == 0, done.stdout + done.stderr
    told = msgspec.json.decode(done.stdout, type=Document)
    assert [one.place for one in told.journals] == ["sqlite", "rabbitmq", "mysql"]
    assert [path.name for path in place.iterdir()] == ["kept"]
    assert [history.check(*case.arguments()).ok for case in history.recall(place / "kept")] == [True] * 3
    assert rabbitmq.ctl("list_queues", "-p", vhost.name, "name") == ""
    assert database.sql("SELECT COUNT(*) FROM metronome")[0][0] == told.journals[2].found


def _turned_round(play: Play) -> None:
    play.expect("nothing runs", lambda: not play.stage.children(), 0.3)


def _not_read_again(play: Play) -> None:
    (play.stage.journals / "m0").rename(play.stage.home / "hidden")
    try:
        processes.kill_worker(play)
    finally:
        (play.stage.home / "hidden").rename(play.stage.journals / "m0")


def _disturbed(play: Play) -> None:
    with play.undisturbed():
        os.kill(play.stage.pid("m3"), signal.SIGKILL)
        play.expect("it is gone", lambda: play.stage.pid("m3") == 0, 10)


def _thief(play: Play) -> None:
    store = sqlite3.connect(play.stage.store, timeout=30)
    with store:
        store.execute("DELETE FROM metronome WHERE (run_id, seq) = (SELECT run_id, seq FROM metronome LIMIT 1)")
    store.close()


def _no_return(play: Play) -> None:
    play.stage.state.chmod(0o777)  # which a gateway refuses
    try:
        processes.kill_supervisor(play)
    finally:
        play.expect("nothing comes back", lambda: not play.stage.gateway.lives, 1)


PLANTED = (
    Scenario("turned-round", "An expectation that is none", _turned_round),
    Scenario("not-read-again", "A worker that finds no sensor", _not_read_again),
    Scenario("disturbed", "A neighbour that dies", _disturbed),
    Scenario("thief", "A row is taken out of the store", _thief),
    Scenario("unplug", "A sensor that is not there", surroundings.unplug),
)


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch, place: Path) -> Iterator[Path]:
    """What the command does to its process is undone; no mounts, which would be ours for good."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    umask = os.umask(0o077)
    monkeypatch.setattr(room, "alone", lambda: "not in a test")
    monkeypatch.setattr("tempfile.tempdir", str(place))
    yield place
    os.umask(umask)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_every_judge_can_say_no(own_process: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not happen, a sensor that is not read again, a disturbed neighbour, a stolen row: each is told, all is kept, exit 1."""
    monkeypatch.setattr(command, "SCENARIOS", PLANTED)
    monkeypatch.setattr(processes, "BACK_s", 5.0)
    monkeypatch.setattr(VirtualLuna, "possible", lambda: False)
    assert run(Wish(as_json=True)) == 1
    told = msgspec.json.decode(capsys.readouterr().out, type=Document)
    assert not told.ok
    assert {one.name: [step.text for step in one.steps if not step.ok] for one in told.scenarios} == {
        "turned-round": ["nothing runs"],
        "not-read-again": ["m0 is read again"],
        "disturbed": ["nobody else noticed: the same 5 processes, and no sensor rested for longer than 2 s"],
        "thief": [],
        "unplug": [],
    }
    assert [one.left_out for one in told.scenarios[-2:]] == ["", "a virtual TF-Luna needs numpy: pip install 'edgegw[demo]'"]
    (gone,) = told.ledger["imbalances"]
    assert (gone["sink"], gone["by"]) == ("sqlite", 1)
    assert {one.place: one.ok for one in told.journals} == {"sqlite": False, "rabbitmq": True}
    assert told.sentence.startswith("drill FAILED: 4 scenarios, ")
    failed = "FAILED in turned-round, not-read-again, disturbed; left out: unplug"
    assert told.sentence.endswith(f"{failed}; THE BOOKS DO NOT BALANCE, WHAT ARRIVED IS NOT WHAT THE SENSORS NOTED")
    _all_is_kept(own_process, Path(told.kept or ""))


def _all_is_kept(place: Path, kept: Path) -> None:
    assert kept.is_relative_to(place)
    verdicts = [history.check(*case.arguments()) for case in history.recall(kept)]
    assert [verdict.lost_acknowledged for verdict in verdicts] == [1, 0]
    assert {path.name for path in (kept / "home").iterdir()} >= {"broker", "edgegw.toml", "journals", "state", "store"}
    assert [path for path in place.iterdir() if not kept.is_relative_to(path)] == []


@long
def test_a_gateway_that_does_not_come_back(own_process: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """That ends the drill, in a sentence of one line; what comes after it is not played, and nothing passes for proven."""
    monkeypatch.setattr(command, "SCENARIOS", (Scenario("no-return", "One that stays away", _no_return), *PLANTED))
    assert run(Wish(as_json=True)) == 1
    told = msgspec.json.decode(capsys.readouterr().out, type=Document)
    assert [one.name for one in told.scenarios] == ["no-return"]
    assert "; it came to no end: the gateway does not get well again (the drill's gateway did not start)" in told.sentence
    assert "\n" not in told.sentence
    assert Path(told.kept or "").is_relative_to(own_process)


@long
def test_nothing_played_is_nothing_proven(own_process: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where all that was asked for is left out the exit code is 1, though the books balance."""
    monkeypatch.setattr(VirtualLuna, "possible", lambda: False)
    assert run(Wish(("unplug",))) == 1
    told = capsys.readouterr().out
    assert "left out: a virtual TF-Luna needs numpy: pip install 'edgegw[demo]'" in told
    assert "drill FAILED: 0 scenarios, 0 expectations, for nothing could be played; left out: unplug" in told
    assert f"Kept for you to look into: {own_process}" in told


@long
def test_without_mounts_a_quota_is_filled(own_process: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no disk can be mounted it says so, and what it plays instead; the expectations are the same."""
    assert run(Wish(("full-disk",), as_json=True)) == 0
    (told,) = msgspec.json.decode(capsys.readouterr().out, type=Document).scenarios
    assert told.steps[0].text.startswith("no disk can be mounted here (not in a test), so a quota of ")
    assert "the gateway says that it has no room" in [step.text for step in told.steps]
    assert list(own_process.iterdir()) == []
