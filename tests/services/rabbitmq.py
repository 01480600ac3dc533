"""A private RabbitMQ node for the tests, with an epmd of its own; and the fixtures `rabbitmq` and `vhost`.

One node per session: it takes 4 to 10 s to start. With pytest-xdist every worker is a session and starts its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.services.base import die_with_parent, end, free_port, freeze, listening, need, service_dir, sweep, until

# Not the programs of /usr/sbin: those change to user rabbitmq and drop the environment.
BIN = Path("/usr/lib/rabbitmq/bin")
START_s = 90
CTL_s = 120
CONF = """\
listeners.tcp.1 = 127.0.0.1:{port}
disk_free_limit.absolute = 50MB
log.console = false
log.file.level = warning
num_acceptors.tcp = 2
"""
TLS_CONF = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.certfile = {place}/broker.pem
ssl_options.keyfile = {place}/broker.key
num_acceptors.ssl = 1
"""


class Vhost(msgspec.Struct, frozen=True):
    """A virtual host nobody else uses, and a user who may do everything in it."""

    host: str
    port: int
    name: str
    user: str
    password: str


class Rabbit:
    """One node with its directory; start() after stop() or kill() brings the same node back with its data."""

    def __init__(self) -> None:
        need(str(BIN / "rabbitmq-server"), "rabbitmq-server")
        need("epmd", "erlang-base")
        self.host, self.port = "127.0.0.1", free_port()
        self.tls_port = free_port()
        self._distribution_port, self._epmd_port = free_port(), free_port()
        self._node = f"edgegw{self.port}@localhost"
        self._dir = service_dir("rabbit")
        (self._dir / "plugins").write_text("[].\n")
        (self._dir / "rabbitmq.conf").write_text(CONF.format(port=self.port) + self._tls_conf())
        self._environment = self._make_environment()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._beam: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the Erlang machine."""
        assert self._beam is not None
        return self._beam.pid

    @property
    def certificate(self) -> Path:
        """What a client of the TLS port has to trust; the port is there only where openssl was."""
        return self._dir / "broker.pem"

    def start(self) -> Rabbit:
        """Return when the broker answers AMQP, not only when its port is open. From the main thread only: see die_with_parent."""
        if self._epmd is None:
            self._epmd = self._spawn("epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1")
            until(lambda: listening(self._epmd_port), 20, "epmd to listen")
        self._beam = self._spawn(str(BIN / "rabbitmq-server"))
        until(self._up, START_s, f"RabbitMQ to answer on port {self.port}")
        return self

    def ensure(self) -> None:
        """Running, whatever the last test did to it."""
        if self._beam is None or self._beam.poll() is not None:
            self.start()
        self.resume()

    def ctl(self, *arguments: str) -> str:
        """What rabbitmqctl prints (0.4 to 1.6 s a call)."""
        command = [str(BIN / "rabbitmqctl"), "--quiet", "-n", self._node, *arguments]
        done = subprocess.run(
            command,
            env=self._environment,
            cwd=self._dir,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CTL_s,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def evaluate(self, *expressions: str) -> str:
        """Several Erlang expressions in one rabbitmqctl call."""
        return self.ctl("eval", ", ".join(expressions) + ".")

    def alarm(self, on: bool) -> None:
        """Raise or clear the memory alarm, as if memory were short."""
        alarm = "{resource_limit, memory, node()}"
        self.evaluate(f"rabbit_alarm:set_alarm({{{alarm}, []}})" if on else f"rabbit_alarm:clear_alarm({alarm})")

    def add_vhost(self, name: str) -> Vhost:
        """A virtual host with a user of its own."""
        place = Vhost(self.host, self.port, name, f"user-{name}", secrets.token_urlsafe(12))
        self.evaluate(
            f'rabbit_vhost:add(<<"{name}">>, <<"test">>)',
            f'rabbit_auth_backend_internal:add_user(<<"{place.user}">>, <<"{place.password}">>, <<"test">>)',
            f'rabbit_auth_backend_internal:set_permissions(<<"{place.user}">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)',
        )
        return place

    def pause(self) -> None:
        """Freeze the broker: connections stay, nothing answers."""
        freeze(self.pid)

    def resume(self) -> None:
        """End pause()."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the broker as a power cut would."""
        assert self._beam is not None
        end(self._beam, signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM and wait: a clean shutdown; the node and its data stay for start()."""
        assert self._beam is not None
        end(self._beam)

    def remove(self) -> None:
        """End broker, epmd and directory. Beam first: RabbitMQ starts another epmd, which outlives it, when it misses its own."""
        if self._beam is not None:
            if self._beam.poll() is None:
                self.resume()
            end(self._beam)
        if self._epmd is not None:
            end(self._epmd)
        shutil.rmtree(self._dir, ignore_errors=True)

    def _up(self) -> bool:
        assert self._beam is not None
        assert self._beam.poll() is None, f"RabbitMQ did not start:\n{(self._dir / 'boot.log').read_text()[-3000:]}"
        return _answers(self.port)

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._dir / "boot.log").open("ab") as log:
            return subprocess.Popen(
                die_with_parent(command),
                env=self._environment,
                cwd=self._dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C at the terminal is the tests' affair
            )

    def _tls_conf(self) -> str:
        """A TLS port with a self-signed certificate. Tests that use it need openssl and say so."""
        openssl = shutil.which("openssl")
        if openssl is None:
            return ""
        command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "broker.key", "-out", "broker.pem"]
        subprocess.run([*command, *names], cwd=self._dir, check=True, capture_output=True)
        return TLS_CONF.format(port=self.tls_port, place=self._dir)

    def _make_environment(self) -> dict[str, str]:
        here = self._dir
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(here),  # so the Erlang cookie is its own too
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "generated"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # nothing from /etc/rabbitmq
            "RABBITMQ_PID_FILE": str(here / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            "RABBITMQ_CTL_ERL_ARGS": "-start_epmd false",  # else it leaves an epmd daemon behind
            "RUNNING_UNDER_SYSTEMD": "true",  # the start script then execs the machine: its pid is our child's, its leash too
        }


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Rabbit]:
    """The session's node; use it together with `vhost`, which brings it back when a test has left it dead or frozen."""
    sweep()
    rabbit = Rabbit()
    try:
        yield rabbit.start()
    finally:
        rabbit.remove()


@pytest.fixture
def vhost(rabbitmq: Rabbit) -> Vhost:
    """A virtual host of this test alone; it goes with the node."""
    rabbitmq.ensure()
    return rabbitmq.add_vhost(f"v{secrets.token_hex(4)}")


def _answers(port: int) -> bool:
    """The port opens before the broker is ready; the first byte of Connection.Start is the true sign."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as probe:
            probe.settimeout(2)
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return probe.recv(1) == b"\x01"
    except OSError:
        return False
