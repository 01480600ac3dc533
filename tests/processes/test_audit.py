"""`edgegw audit` on real gateways: killed workers and bridges, a power cut, figures changed by hand, and never a false alarm."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from edgegw.errors import Exit
from tests.processes.rig import Rig, load_s, rig
from tests.services.base import until

SENSORS, HZ = 4, 100


@pytest.fixture(scope="module")
def worn() -> Iterator[Rig]:
    """A gateway on the embedded store that lost a worker and a bridge by SIGKILL, and was stopped in order."""
    with rig(SENSORS, HZ, "[sinks.sqlite]") as made:
        made.start()
        loaded(made, 200)
        kill(made, "s1")
        kill(made, "bridge")
        loaded(made, 200)
        made.stop()
        yield made


@pytest.fixture
def gateway(worn: Rig) -> Iterator[Rig]:
    """The same, put back after the test."""
    kept = worn.home / "kept"
    shutil.copytree(worn.paths.state, kept)
    yield worn
    shutil.rmtree(worn.paths.state)
    kept.rename(worn.paths.state)


def loaded(made: Rig, readings: int) -> None:
    """Wait until the store has been given so many by this bridge."""
    until(lambda: sum(sink["delivered"] for sink in made.sinks().values()) >= readings, 60, "readings to be delivered")


def kill(made: Rig, name: str) -> None:
    """SIGKILL, and wait for the successor."""
    victim = made.children()[name]
    victim.send_signal(signal.SIGKILL)
    until(lambda: made.children().get(name, victim).pid != victim.pid, 30, f"{name} to be back")


def audit(made: Rig, *options: str, expect: int = Exit.DONE) -> dict[str, Any]:
    """What `edgegw audit --json` says, with its exit code."""
    done = made.run("audit", "--json", *options)
    assert done.returncode == expect, done.stdout[-4000:] + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def change(made: Rig, file: str, statement: str, *parameters: object) -> None:
    """By hand, as somebody would who must not."""
    with contextlib.closing(sqlite3.connect(made.paths.state / file)) as db, db:
        assert db.execute(statement, parameters).rowcount == 1


def a_run(made: Rig) -> str:
    """A run of which something was stored and nothing was lost."""
    return str(next(one["run"] for one in audit(made)["runs"] if one["kept"] > 10 and one["ending"] == "in order"))


def test_after_kills_the_books_balance_and_the_loss_is_declared(gateway: Rig) -> None:
    """Exit 0; the killed run's loss lies within its bound, and no other run has lost anything; --strict makes a loss a failure."""
    found = audit(gateway)
    killed = [one for one in found["runs"] if one["ending"] == "killed"]
    assert [one["sensor"] for one in killed] == ["s1"]
    assert 0 <= killed[0]["lost"] <= killed[0]["lost_at_most"] == 4096
    assert [(one["ending"], one["lost"], one["closed"]) for one in found["runs"] if one not in killed] == [("in order", 0, True)] * SENSORS
    assert found["sinks"]["sqlite"]["produced"] > 400
    assert [one["cause"] for one in found["lost"]] == ["lost"] * bool(killed[0]["lost"])
    audit(gateway, "--strict", expect=Exit.FAILED if killed[0]["lost"] else Exit.DONE)


def test_it_speaks_to_people(gateway: Rig) -> None:
    """A row a sensor, with --runs a row a run; the last line is the verdict. One sensor can be asked for, but none that is not there."""
    plain, runs, one = gateway.run("audit"), gateway.run("audit", "--runs"), gateway.run("audit", "s0")
    assert plain.stdout.splitlines()[-1].startswith("balanced: ")
    assert [sum(line.startswith("s1 ") for line in each.stdout.splitlines()) for each in (plain, runs, one)] == [1, 2, 0]
    none = gateway.run("audit", "s9")
    assert (none.returncode, "s9" in none.stderr) == (Exit.NO_SUCH_SENSOR, True)


def test_a_row_deleted_from_the_store_is_missed(gateway: Rig) -> None:
    """Exit 1, and the sentence names the run and the number. --offline does not ask the store, and so cannot know."""
    run = a_run(gateway)
    change(gateway, "store.db", "DELETE FROM lidar WHERE seq = 5 AND run_id = (SELECT run_id FROM run WHERE uuid = ?)", run)
    (wrong,) = audit(gateway, expect=Exit.FAILED)["imbalances"]
    assert (wrong["run"], wrong["sink"], wrong["by"]) == (run, "sqlite", 1)
    told = gateway.run("audit").stdout
    assert f"run {run}: sqlite holds" in told
    assert told.splitlines()[-1].startswith("NOT BALANCED: 1 thing does not add up")
    audit(gateway, "--offline")


def test_a_figure_changed_in_the_books_is_found(gateway: Rig) -> None:
    """One more delivered than was kept: exit 1, also without asking the store."""
    run = a_run(gateway)
    change(gateway, "spool.db", "UPDATE delivery SET delivered = delivered + 1 WHERE run = ?", run)
    (wrong,) = audit(gateway, "--offline", expect=Exit.FAILED)["imbalances"]
    assert (wrong["run"], wrong["sink"], wrong["by"]) == (run, "sqlite", -1)


def test_a_store_that_cannot_be_asked_is_said(gateway: Rig) -> None:
    """Exit 69; the books themselves are shown and balance."""
    (gateway.paths.state / "store.db").write_bytes(b"no database at all, but long enough to be taken for one" * 99)
    for left in gateway.paths.state.glob("store.db-*"):
        left.unlink()
    found = audit(gateway, expect=Exit.UNAVAILABLE)
    assert (found["balanced"], list(found["unasked"])) == (True, ["sqlite"])


def test_a_run_that_a_power_cut_ended_is_closed_at_the_next_start(gateway: Rig) -> None:
    """Of another boot, without a tally: open at first, and said so; after the next start its book is closed as cut, and balances."""
    run = a_run(gateway)
    change(gateway, "spool.db", "UPDATE run SET closed = 0, held = -1 WHERE id = ?", run)
    change_boot(gateway, run)
    assert [one["cause"] for one in audit(gateway)["lost"] if one["run"] == run] == ["open"]
    gateway.start()
    until(lambda: all(book.closed for book in gateway.books() if book.run.id == run), 60, "the cut run's book to be closed")
    gateway.stop()
    (cut,) = [one for one in audit(gateway)["runs"] if one["run"] == run]
    assert (cut["ending"], cut["uncounted_at_most"]) == ("cut", 4096)
    assert "ended by a power cut: up to 4096 readings taken after its last batch are not counted" in gateway.run("audit").stdout


def change_boot(made: Rig, run: str) -> None:
    """The run is of another boot, as far as the spool knows."""
    import msgspec

    from edgegw import codec
    from edgegw.spool import file

    (book,) = [book for book in made.books() if book.run.id == run]
    body = codec.encode_run(msgspec.structs.replace(book.run, boot_id="another"))
    change(made, "spool.db", "UPDATE run SET body = ?, crc = ? WHERE id = ?", body, file.checksum(run, body), run)


def test_never_a_false_alarm_while_it_runs(gateway: Rig) -> None:
    """Looked at again and again under load, also as a worker or the bridge is being killed: the books balance each time."""
    gateway.start()
    loaded(gateway, 100)
    kills = 0
    for number in range(round(load_s(5) * 2)):
        victim = gateway.children().get({2: "s2", 5: "bridge", 8: "s3"}.get(number % 10, ""))
        if victim:  # who was killed often enough has a pause before it is started again
            victim.send_signal(signal.SIGKILL)
            kills += 1
        found = audit(gateway)
        assert found["imbalances"] == []
    assert kills >= 3
    loaded(gateway, 1)
    gateway.stop()
    assert audit(gateway)["balanced"]
