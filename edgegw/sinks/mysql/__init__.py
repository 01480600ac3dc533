"""The MySQL and MariaDB store. The only room that knows PyMySQL."""

from edgegw.sinks.mysql.link import Server
from edgegw.sinks.mysql.setup import initialise
from edgegw.sinks.mysql.store import MySQLSink

__all__ = ["MySQLSink", "Server", "initialise"]
