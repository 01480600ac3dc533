"""From a real spool into a real MariaDB that misbehaves: nothing lost, nothing twice, nothing set aside, and the other sink goes on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from edgegw.bridge.bisect import MANY
from edgegw.errors import Refused
from edgegw.sinks.mysql import initialise
from tests.mysql_line import Line, PATIENCE_s, line, troubles
from tests.records import a_run
from tests.services.base import until
from tests.services.mariadb import PASSWORD, Database

__all__ = ["line", "troubles"]


# --- away ---


def test_while_the_server_is_down_the_other_sink_goes_on(line: Line, troubles: list[Exception]) -> None:
    """Killed in the middle: the other sink gets everything meanwhile, without a hitch; back again, MySQL gets all it missed, once."""
    line.database.mariadb.kill()
    line.fill(200)
    until(lambda: line.others() == line.made, PATIENCE_s, "the other sink to have all")
    until(lambda: len(troubles) > 5, PATIENCE_s, "MySQL to be tried again and again")
    assert "cannot be reached: Connection refused (2003)" in line.mysql.health(0).why
    line.database.mariadb.start()
    line.complete()
    assert (line.other.attempts.count("open"), line.mysql.health(0).why) == (1, "")


def kill_connections(database: Database) -> int:
    """All of the gateway's; how many there were."""
    killed = 0
    for (connection,) in database.sql(f"SELECT id FROM information_schema.processlist WHERE user = '{database.gateway.user}'"):
        with contextlib.suppress(Exception):  # gone before we struck
            database.sql(f"KILL {connection}")
            killed += 1
    return killed


def test_connections_killed_again_and_again(line: Line, troubles: list[Exception]) -> None:
    """KILL CONNECTION at any moment, thirty times under load: each is met by a new connection, and nothing is lost or twice."""
    killed = 0
    while killed < 30:
        line.fill(5, each=40)
        killed += kill_connections(line.database)
    line.complete()
    assert troubles
    assert line.other.attempts.count("open") == 1


class Trouble(NamedTuple):
    """What an operator does to the server, how he takes it back, and what the gateway then says."""

    sentence: str
    begin: Sequence[str]
    end: Sequence[str]
    refused: bool = False


TROUBLES = {
    "read-only": Trouble(r"read-only.*\(1290\)", ["SET GLOBAL read_only = 1"], ["SET GLOBAL read_only = 0"]),
    "queries-used-up": Trouble(
        r"max_queries.*\(1226\).*raise its limits",
        ["GRANT USAGE ON *.* TO {gw} WITH MAX_QUERIES_PER_HOUR 5"],
        ["GRANT USAGE ON *.* TO {gw} WITH MAX_QUERIES_PER_HOUR 0"],
    ),
    "table-full": Trouble(
        r"is full.*\(1114\).*make room",
        ["SET GLOBAL max_heap_table_size = 16384", "ALTER TABLE {db}.lidar ENGINE=MEMORY"],
        ["ALTER TABLE {db}.lidar ENGINE=InnoDB", "SET GLOBAL max_heap_table_size = DEFAULT"],
    ),
    "table-renamed": Trouble(
        r"lidar' doesn't exist \(1146\); run: edgegw db init",
        ["RENAME TABLE {db}.lidar TO {db}.kept"],
        ["RENAME TABLE {db}.kept TO {db}.lidar"],
        refused=True,
    ),
    "column-dropped": Trouble(
        r"'strength'.*\(1054\); run: edgegw db init",
        ["ALTER TABLE {db}.lidar RENAME COLUMN strength TO power"],
        ["ALTER TABLE {db}.lidar RENAME COLUMN power TO strength"],
        refused=True,
    ),
    "rights-revoked": Trouble(
        r"denied.*\(1142\).*SELECT and INSERT",
        ["REVOKE INSERT ON {db}.* FROM {gw}"],
        ["GRANT INSERT ON {db}.* TO {gw}"],
        refused=True,
    ),
    "password-changed": Trouble(
        r"\(1045\); check user and password",
        ["SET PASSWORD FOR {gw} = PASSWORD('another')"],
        ["SET PASSWORD FOR {gw} = PASSWORD('{password}')"],
        refused=True,
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_what_an_operator_can_do_to_it(line: Line, troubles: list[Exception], name: str) -> None:
    """The gateway says what is wrong and what to do, sets nothing aside, and the next try after the cure goes through."""
    trouble, database = TROUBLES[name], line.database
    names = {"gw": f"{database.gateway.user}@'127.0.0.1'", "db": database.gateway.database, "password": PASSWORD}

    def run(statements: Sequence[str]) -> None:
        for statement in statements:
            database.sql(statement.format(**names))

    run(trouble.begin)
    kill_connections(database)  # rights and limits hold for new ones
    line.fill(100)
    until(lambda: len(troubles) > 3, PATIENCE_s, "some tries")
    assert isinstance(troubles[-1], Refused) == trouble.refused
    assert line.mysql.health(0).why == str(troubles[-1])
    assert re.search(trouble.sentence, str(troubles[-1]))
    tries = len(troubles)
    run(trouble.end)
    line.complete()
    assert len(troubles) <= tries + 2


def test_a_table_that_rejects_everything(line: Line, troubles: list[Exception]) -> None:
    """A CHECK that nothing new passes, readings a few at a time: fewer than MANY are set aside, then all waits for the cure."""
    line.database.sql("ALTER TABLE lidar ADD CONSTRAINT nothing CHECK (seq < 10)")
    rear, begin = a_run(2, "rear"), line.made
    while not troubles:
        line.fill(1, each=1)
        line.fill(1, each=1, run=rear)
        until(lambda: troubles or line.mysql.health(0).dead == line.made - begin, PATIENCE_s, "the verdict on these two")
    line.fill(20)
    line.fill(20, run=rear)
    until(lambda: len(troubles) > 3, PATIENCE_s, "some tries")
    assert re.search(r"readings of 2 sensors alike: .*nothing.*\(4025\); undo what was changed", str(troubles[-1]))
    letters = line.letters()
    assert 0 < letters < MANY
    line.database.sql("ALTER TABLE lidar DROP CONSTRAINT nothing")
    until(lambda: line.rows() == line.made - letters, PATIENCE_s, f"all the rest ({line.mysql.health(0)})")
    assert line.letters() == letters == line.mysql.health(0).dead


def test_a_database_that_was_dropped(line: Line, troubles: list[Exception]) -> None:
    """It is named; made again, what is new goes in. What was in it is gone, and no business of the gateway's."""
    database = line.database
    database.mariadb.sql(f"DROP DATABASE {database.gateway.database}")
    line.fill(10)
    until(lambda: len(troubles) > 3, PATIENCE_s, "some tries")
    assert "create the database, then run: edgegw db init" in str(troubles[-1])
    database.mariadb.sql(f"CREATE DATABASE {database.gateway.database}")
    initialise(database.admin)
    until(lambda: line.rows() == 100, PATIENCE_s, f"what is new ({line.mysql.health(0)})")
    assert database.sql("SELECT COUNT(*) FROM dead_letter") == ((0,),)
