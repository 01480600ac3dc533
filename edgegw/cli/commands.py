"""The commands; wiring only. Each body is imported inside its command, so that `edgegw stop` does not pay for `edgegw web`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edgegw import __version__
from edgegw.cli.db import db
from edgegw.cli.dlq import dlq
from edgegw.cli.group import Commands
from edgegw.cli.options import CONFIG, JSON, JSON_LINES
from edgegw.cli.spool import spool
from edgegw.errors import Exit


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgegw")
def main() -> None:
    """Reads every sensor in a process of its own and delivers every reading to RabbitMQ and MySQL."""
    if not sys.platform.startswith("linux"):
        click.echo("edgegw runs on Linux only: it needs pidfds, flock and CLOCK_BOOTTIME", err=True)
        raise SystemExit(Exit.UNAVAILABLE)


@main.command()
@click.option("--seconds", type=click.FloatRange(min=1), help="End after so many seconds (default: Ctrl-C; without a terminal: 30).")
@click.option("--rabbitmq", metavar="URL", help="Deliver to this broker, too: amqp://user:password@host/vhost")
@click.option("--mysql", metavar="URL", help="Store in this database, too: mysql://user:password@host/database")
@CONFIG
def demo(seconds: float | None, rabbitmq: str | None, mysql: str | None, file: Path | None) -> None:
    """The whole gateway on virtual devices and the embedded store, in the foreground."""
    from edgegw.cli.demo import Demo

    raise SystemExit(Demo(file, {"sinks.rabbitmq.url": rabbitmq, "sinks.mysql.url": mysql}).run(seconds))


@main.command()
@CONFIG
@click.option("--foreground", is_flag=True, help="Stay here (as under systemd); log to stderr or journald.")
@click.option("--logs", "logs", type=click.Path(path_type=Path), hidden=True, help="Log to files in this directory.")
@click.option("--parent", type=int, hidden=True, help="End when the process with this id does.")
def start(file: Path | None, foreground: bool, logs: Path | None, parent: int | None) -> None:
    """Start the gateway in the background; returns when it is ready, or says why it is not."""
    from edgegw.cli import gateway

    if foreground:
        raise SystemExit(gateway.foreground(file, logs, parent))
    click.echo(gateway.background(file))


@main.command()
@CONFIG
@click.option("--timeout", default=15.0, show_default=True, metavar="S", help="Seconds to wait for its end.")
def stop(file: Path | None, timeout: float) -> None:
    """Drain, then stop."""
    from edgegw.cli import gateway

    click.echo(gateway.stop(file, timeout))


@main.command()
@click.argument("sensors", nargs=-1)
@CONFIG
def restart(sensors: tuple[str, ...], file: Path | None) -> None:
    """Restart the gateway, or just these SENSORS."""
    from edgegw.cli import gateway

    click.echo(gateway.restart(file, sensors))


@main.command()
@CONFIG
def reload(file: Path | None) -> None:
    """Apply the changed configuration; what did not change does not restart, and a faulty file changes nothing."""
    from edgegw.cli import reload as body

    click.echo(body.run(file))


@main.command()
@CONFIG
@JSON
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C.")
def status(file: Path | None, as_json: bool, watch: bool) -> None:
    """Every process: state, rate, newest reading, and why it is not well."""
    from edgegw.cli import status as show

    raise SystemExit(show.run(file, as_json=as_json, watch=watch))


@main.command()
@click.argument("patterns", nargs=-1)
@CONFIG
@JSON_LINES
@click.option("-n", "count", type=click.IntRange(min=1), help="End after so many readings.")
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds.")
@click.option(
    "--limit", "limit_hz", type=click.FloatRange(min=0, min_open=True), metavar="HZ", help="At most so many lines a second and sensor."
)
def tap(
    patterns: tuple[str, ...], file: Path | None, as_json: bool, count: int | None, seconds: float | None, limit_hz: float | None
) -> None:
    """Live readings, a line each; PATTERNS as `front`, `lidar/*`, `*/front`."""
    from edgegw.cli import tap as body

    body.run(file, body.Wish(patterns, as_json, count, seconds, limit_hz))


@main.command()
@CONFIG
@JSON_LINES
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written, until Ctrl-C.")
@click.option("--sensor", help="Only this sensor's process.")
def logs(file: Path | None, as_json: bool, follow: bool, sensor: str | None) -> None:
    """What the processes logged (of a gateway in the background without journald)."""
    from edgegw.cli import logs as show

    show.run(file, sensor, follow=follow, as_json=as_json)


@main.command()
@CONFIG
@JSON
@click.option("--probe", is_flag=True, help="Open every device, the broker and the database once, and say yes or why not.")
def check(file: Path | None, as_json: bool, probe: bool) -> None:
    """Every error in the configuration at once, with its line and key."""
    from edgegw.cli import check as body

    raise SystemExit(body.run(file, probe=probe, as_json=as_json))


@main.command("try")
@click.argument("driver")
@click.argument("options", nargs=-1, metavar="[KEY=VALUE]...")
@JSON_LINES
@click.option("-n", "count", type=click.IntRange(min=1), help="End after so many samples.")
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds.")
@click.option(
    "--show", type=click.Path(path_type=Path), metavar="FILE", help="Write what a camera sees, with what it finds, as FILE.jpg or .png."
)
@click.option("--clear", is_flag=True, help="Leave the faces in it as they are; who asks for that is logged. (Else they are pixelated.)")
def try_(
    driver: str, options: tuple[str, ...], as_json: bool, count: int | None, seconds: float | None, show: Path | None, clear: bool
) -> None:
    """Read one sensor without daemon or file, as in: edgegw try tfluna port=/dev/ttyUSB0"""
    from edgegw.cli import trial

    if clear and show is None:
        raise click.UsageError("--clear is for the picture of --show FILE")
    trial.run(driver, options, trial.Wish(as_json, count, seconds, show, clear))


@main.command()
@click.argument("sensor")
@click.argument("part", required=False)
@CONFIG
def calibrate(sensor: str, part: str | None, file: Path | None) -> None:
    """Measure what SENSOR gets wrong and correct it from then on, as in: edgegw calibrate imu six"""
    from edgegw.cli import calibrate as body

    body.run(file, sensor, part)


@main.command()
@click.option("--faces", is_flag=True, required=True, help="The pictures of faces that wait for a sink.")
@CONFIG
@JSON
def purge(faces: bool, file: Path | None, as_json: bool) -> None:
    """Erase what is kept of people. The events of their coming and going stay, without the pictures."""
    from edgegw.cli import purge as body

    assert faces  # there is nothing else to purge yet, and click insists on it
    body.run(file, as_json=as_json)


@main.command()
@click.argument("scenarios", nargs=-1)
@JSON
@click.option("--list", "only_list", is_flag=True, help="Name the scenarios, and play none.")
@click.option("--rabbitmq", metavar="URL", help="A real broker instead of edgegw's own stand-in: amqp://user:password@host/vhost")
@click.option("--mysql", metavar="URL", help="A real database, too: mysql://user:password@host/database")
@click.option("--keep", type=click.Path(path_type=Path), metavar="DIR", help="Keep everything there (a failed drill keeps it anyway).")
def drill(
    scenarios: tuple[str, ...], as_json: bool, only_list: bool, rabbitmq: str | None, mysql: str | None, keep: Path | None
) -> None:
    """Faults on purpose, in a gateway of its own: kill, hang, unplug, fill the disk; then its books are closed. All, or these SCENARIOS."""
    from edgegw.cli import drill as body

    if only_list:
        click.echo(body.listing(), nl=False)
        return
    raise SystemExit(body.run(body.Wish(scenarios, as_json, rabbitmq, mysql, keep)))


@main.command()
@click.argument("sensors", nargs=-1)
@CONFIG
@JSON
@click.option("--offline", is_flag=True, help="Ask no store what it holds; check the books alone.")
@click.option("--runs", is_flag=True, help="A row a run instead of a row a sensor.")
@click.option("--strict", is_flag=True, help="Exit 1 also for losses that the books declare.")
def audit(sensors: tuple[str, ...], file: Path | None, as_json: bool, offline: bool, runs: bool, strict: bool) -> None:
    """The books of every run: what was produced, where it is, what is lost and why. Exits 1 when they do not balance."""
    from edgegw.cli import audit as body

    raise SystemExit(body.run(file, body.Wish(sensors, as_json, offline, runs, strict)))


@main.command()
@click.argument("name")
@CONFIG
def worker(name: str, file: Path | None) -> None:
    """The process of sensor NAME, by hand."""
    from edgegw import worker as body
    from edgegw.cli.settings import load, sensor

    settings = load(file)
    raise SystemExit(body.run(settings, name, [sensor(settings, name)], None))


@main.command()
@CONFIG
def bridge(file: Path | None) -> None:
    """The bridge process, by hand."""
    from edgegw import bridge as body
    from edgegw.cli.settings import load
    from edgegw.supervisor.place import claimed

    settings = load(file)
    with claimed(settings.paths):
        raise SystemExit(body.run(settings, None))


for each in (db, dlq, spool):
    main.add_command(each)


@main.command()
@JSON
@click.option("--toml", "as_toml", is_flag=True, help="Sections ready to paste into a configuration, and nothing else.")
@click.option("--seconds", type=click.FloatRange(1, 60), default=5.0, show_default=True, metavar="S", help="How long to look and listen.")
def discover(as_json: bool, as_toml: bool, seconds: float) -> None:
    """What hangs on this machine: serial ports, I2C chips, Bluetooth peripherals, cameras."""
    from edgegw.cli import discover as body

    if as_json and as_toml:
        raise click.UsageError("--json or --toml, not both")
    body.run(seconds, as_json=as_json, as_toml=as_toml)
