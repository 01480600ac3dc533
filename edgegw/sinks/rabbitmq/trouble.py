"""What RabbitMQ and the way to it may answer, as Unavailable, Refused or Rejected, in a sentence that says what to do.

`connecting`, `declaring` and `publishing` each take what aio-pika raised at that stage; the same code means different things there.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl

from aio_pika import exceptions as amqp
from aiormq import exceptions as wire
from pamqp.exceptions import PAMQPException

from edgegw.errors import Busy, Refused, Rejected, SinkError, Unavailable
from edgegw.sinks.rabbitmq.settings import RabbitMQSettings

CONTENT_TOO_LARGE = 311
_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID: our own clock is more often wrong than the certificate
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_NOT_AMQP = (amqp.IncompatibleProtocolError, amqp.ProtocolSyntaxError, PAMQPException)


class Blocked(Busy):
    """The broker holds publishers back (memory or disk alarm); the connection is good and what is in flight stays so."""


class Full(Busy):
    """A queue took no more; the connection is good."""


class Unrouted(Busy):
    """No queue wants the message; the connection is good, and a new one would change nothing, as the topology is the operator's."""


def connecting(error: BaseException, to: RabbitMQSettings) -> SinkError:
    """A failure before the connection was open."""
    if isinstance(error, ssl.SSLError):
        return _tls(error, to)
    if isinstance(error, amqp.ProbableAuthenticationError):
        return Refused(f"{to.place} does not accept user {to.user!r} with this password: correct either of them")
    if isinstance(error, amqp.AuthenticationError):
        return Refused(f"{to.place} does not offer the PLAIN login that edgegw uses: enable it in the broker")
    if _closed_at_open(error):
        said = f"{to.place} does not let user {to.user!r} into vhost {to.vhost!r}"
        return Refused(f"{said}: create the vhost, or give the user permissions in it")
    if isinstance(error, _NOT_AMQP):
        return Refused(f"what answers at {to.host}:{to.port} does not speak AMQP 0-9-1: check host, port and whether it wants TLS")
    if isinstance(error, TimeoutError) and not error.args:
        return Unavailable(f"{to.place} did not let us in within {to.connect_timeout_s:g} s: it hangs, or a firewall swallows what we send")
    return Unavailable(f"{to.place} cannot be reached: {reason(error)}; see that it runs, and that [sinks.rabbitmq] says where")


def declaring(error: BaseException, to: RabbitMQSettings) -> SinkError:
    """A failure while exchange, queue and binding were declared or checked."""
    text = reason(error)
    if isinstance(error, wire.ChannelAccessRefused):
        return Refused(f"{to.place} forbids user {to.user!r} to declare ({text}): grant configure, write and read, or set declare = false")
    if isinstance(error, amqp.ChannelPreconditionFailed | wire.ChannelLockedResource):
        return Refused(f"exchange or queue exists with other properties ({text}): delete it, name another one, or set declare = false")
    if isinstance(error, amqp.ChannelNotFoundEntity):
        return Refused(f"{to.place} has no exchange {to.exchange!r} in vhost {to.vhost!r}: create it or set declare = true")
    if isinstance(error, TimeoutError) and not error.args:
        return Unavailable(f"{to.place} did not answer within {to.connect_timeout_s:g} s")
    return lost(error, to)


def publishing(error: BaseException, to: RabbitMQSettings) -> SinkError:
    """A failure of a publish, or of its confirm."""
    if isinstance(error, amqp.PublishError):
        what = f"no queue is bound to exchange {to.exchange!r} for routing key {error.args[1]!r}"
        return _declared_anew(what) if to.declare else Unrouted(f"{what}: bind one, or set declare = true")
    if isinstance(error, amqp.DeliveryError):
        return Full(f"{to.place} refused the message: the queue is full, or has no leader yet; consume from it or raise its limit")
    if isinstance(error, amqp.ChannelNotFoundEntity):
        what = f"there is no exchange {to.exchange!r} in vhost {to.vhost!r}"
        return _declared_anew(what) if to.declare else Refused(f"{what}: create it, or set declare = true")
    if isinstance(error, wire.ChannelAccessRefused):
        return Refused(f"{to.place} forbids user {to.user!r} to publish to exchange {to.exchange!r}: grant write ({reason(error)})")
    code = _content_code(error)
    return Rejected(code, f"{to.place} does not take this message: {reason(error)}") if code else lost(error, to)


def blocked(to: RabbitMQSettings) -> Blocked:
    """The broker said connection.blocked."""
    return Blocked(f"{to.place} blocks publishers: memory or disk alarm; free some there, or raise the limit")


def silent(to: RabbitMQSettings) -> Unavailable:
    """No confirm came in time; what became of the messages is unknown."""
    return Unavailable(f"{to.place} confirmed nothing for {to.patience_s:g} s: it hangs, or a queue has lost its leader")


def lost(error: BaseException | None, to: RabbitMQSettings) -> Unavailable:
    """A connection that ended while in use."""
    return Unavailable(f"the connection to {to.place} was lost: {reason(error)}")


def reason(error: BaseException | None) -> str:
    """What an exception of this stack says, without its packaging."""
    if error is None or isinstance(error, asyncio.CancelledError | amqp.ChannelInvalidStateError) or not error.args:
        return "closed"
    if isinstance(error.__cause__, EOFError):
        return "the broker hung up"
    if isinstance(error.__cause__, OSError):
        return reason(error.__cause__)
    if isinstance(error, OSError) and not isinstance(error, amqp.ConnectionClosed) and isinstance(error.args[0], int) and error.args[0] > 0:
        return os.strerror(error.args[0])
    said = str(error.args[-1])
    several = _ERRNO.findall(said) if isinstance(error, OSError) else ()  # asyncio's, of a host with several addresses
    return ", ".join(dict.fromkeys(os.strerror(int(number)) for number in several)) or said


def informative(error: BaseException) -> bool:
    """False for what merely follows from a connection or channel that something else has ended."""
    return not isinstance(error, asyncio.CancelledError | amqp.ChannelInvalidStateError)


def vanished(error: BaseException) -> bool:
    """Whether it says that the queue or the exchange is gone."""
    return isinstance(error, amqp.PublishError | amqp.ChannelNotFoundEntity)


def _tls(error: ssl.SSLError, to: RabbitMQSettings) -> SinkError:
    if isinstance(error, ssl.SSLCertVerificationError):
        said = f"the certificate of {to.place} does not hold: {error.verify_message}"
        if error.verify_code == _NOT_YET_VALID:
            return Unavailable(f"{said} (is the clock right?)")
        return Refused(f"{said}; check ca_file and host name")
    return Refused(f"no TLS with {to.place}: {error.reason or reason(error)}; check that the port is the broker's TLS port (mostly 5671)")


def _closed_at_open(error: BaseException) -> bool:
    """Whether the broker closed in answer to Connection.Open; aiormq calls that a wrong frame and hides the broker's words."""
    return isinstance(error, amqp.InvalidFrameError) and all(word in reason(error) for word in ("Connection.OpenOk", "Connection.Close"))


def _declared_anew(what: str) -> Unavailable:
    return Unavailable(f"{what}; it is declared again with the next connection")


def _content_code(error: BaseException) -> str:
    """The reply code where the broker (or our own encoder) objects to the message as such, else nothing."""
    if isinstance(error, amqp.ChannelPreconditionFailed):
        return "406"
    if isinstance(error, wire.ConnectionFrameError):
        return "501"
    if isinstance(error, wire.ConnectionSyntaxError):
        return "502"
    if isinstance(error, amqp.ChannelClosed) and error.args[:1] == (CONTENT_TOO_LARGE,):
        return str(CONTENT_TOO_LARGE)
    return "encoding" if isinstance(error, ValueError | TypeError | OverflowError | PAMQPException) else ""
