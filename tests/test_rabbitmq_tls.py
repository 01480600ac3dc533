"""The RabbitMQ sink over TLS, against the real broker with a certificate made for the session."""

from __future__ import annotations

import ssl

import msgspec
import pytest

from edgegw.errors import Refused, Unavailable
from tests.services.base import need
from tests.services.rabbitmq import Rabbit, Vhost
from tests.services.rabbitmq_sink import MakeSink, record, seqs, take_all

pytestmark = pytest.mark.usefixtures("silent")


@pytest.fixture
def tls_vhost(rabbitmq: Rabbit, vhost: Vhost) -> Vhost:
    """The vhost, by the port that wants TLS."""
    need("openssl", "openssl")
    return msgspec.structs.replace(vhost, port=rabbitmq.tls_port)


def test_it_delivers_over_tls(vhost: Vhost, tls_vhost: Vhost, rabbitmq: Rabbit, sink_to: MakeSink) -> None:
    """With the right authority the readings arrive, and close() leaves quietly."""
    sink = sink_to(tls_vhost, tls=ssl.create_default_context(cafile=str(rabbitmq.certificate)))
    sink.open()
    sink.deliver([record(n) for n in range(3)])
    sink.close()
    assert seqs(take_all(vhost)) == list(range(30))


def test_an_unknown_authority_is_refused(tls_vhost: Vhost, sink_to: MakeSink) -> None:
    """A certificate that nobody we trust has signed ends the connection before the password is sent."""
    with pytest.raises(Refused, match=r"certificate of RabbitMQ .* self-signed certificate; check ca_file"):
        sink_to(tls_vhost, tls=ssl.create_default_context()).open()


def test_plain_text_to_a_tls_port_is_no_connection(tls_vhost: Vhost, sink_to: MakeSink) -> None:
    """Without TLS on a TLS port nothing is delivered, and open() does not hang."""
    with pytest.raises((Refused, Unavailable)):
        sink_to(tls_vhost, connect_timeout_s=5).open()


def test_a_frozen_broker_is_given_up_over_tls(rabbitmq: Rabbit, vhost: Vhost, tls_vhost: Vhost, sink_to: MakeSink) -> None:
    """TLS's own good-bye, which waits for an answer, does not hold up what has its deadline."""
    sink = sink_to(tls_vhost, tls=ssl.create_default_context(cafile=str(rabbitmq.certificate)), publish_timeout_s=1)
    sink.open()
    rabbitmq.pause()
    try:
        with pytest.raises(Unavailable, match="confirmed nothing"):
            sink.deliver([record(0)])
        sink.close()
    finally:
        rabbitmq.resume()
    sink.open()
    sink.deliver([record(0)])
    assert set(seqs(take_all(vhost))) == set(range(10))
