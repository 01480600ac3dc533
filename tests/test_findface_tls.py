"""The FindFace sink over TLS, against the fake server with a certificate made for these tests."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.errors import Refused, SinkError
from edgegw.testing.findface import FakeFindFace
from tests.findface_bench import API_TOKEN, TOKENS, Bench, expected, leaves, records, sent
from tests.services.base import need, service_dir


@pytest.fixture(scope="module")
def certificate() -> Iterator[Path]:
    """A certificate for 127.0.0.1 that signed itself, with its key in the same file."""
    need("openssl", "openssl")
    home = service_dir("findface")
    file, key = home / "server.pem", home / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=ff"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(file)]
    subprocess.run([*command, *names], check=True, capture_output=True, timeout=60)
    yield file
    shutil.rmtree(home)


@pytest.fixture
def fake(certificate: Path) -> Iterator[FakeFindFace]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with FakeFindFace(TOKENS, api_token=API_TOKEN, tls=context) as server:
        yield server


def test_it_delivers_over_tls(fake: FakeFindFace, certificate: Path) -> None:
    """With the right authority the faces arrive, over connections that are kept."""
    sink = Bench(fake, tls=ssl.create_default_context(cafile=str(certificate)), connections=2).sink
    with contextlib.closing(sink):
        sink.open()
        sink.deliver(records(10))
    assert sorted(sent(fake)) == sorted(expected(range(10)))
    assert fake.connections <= 2


@pytest.mark.parametrize("wrong", ["authority", "host"])
def test_a_certificate_that_does_not_hold_is_refused(fake: FakeFindFace, certificate: Path, wrong: str) -> None:
    """Signed by nobody we trust, or for another host: no request is made, and the sentence says what to check."""
    tls = ssl.create_default_context(cafile=str(certificate) if wrong == "host" else None)
    url = fake.url.replace("127.0.0.1", "localhost") if wrong == "host" else fake.url
    sink = Bench(fake, tls=tls, url=url).sink
    with contextlib.closing(sink), pytest.raises(Refused, match=r"certificate does not hold: .*; check ca_file and the host in url"):
        sink.open()
    assert fake.requests == []


def test_tls_and_plain_text_do_not_mix(fake: FakeFindFace, certificate: Path) -> None:
    """Plain http to a port for https is an error; https to one for http is refused with a hint."""
    plain = Bench(fake, url=fake.url.replace("https", "http")).sink
    with contextlib.closing(plain), pytest.raises(SinkError):
        plain.open()
    with FakeFindFace(TOKENS) as other:
        sink = Bench(other, url=other.url.replace("http", "https"), tls=ssl.create_default_context(cafile=str(certificate))).sink
        with contextlib.closing(sink), pytest.raises(Refused, match=r"no TLS.*check that the port in url"):
            sink.open()


def test_a_certificate_that_changes_under_way_holds_the_faces(fake: FakeFindFace, certificate: Path) -> None:
    """Refused loses nothing: with a right certificate everything goes out."""
    record = leaves([0])
    wrong = Bench(fake, tls=ssl.create_default_context()).sink
    with contextlib.closing(wrong), pytest.raises(Refused):
        wrong.deliver([record])
    right = Bench(fake, tls=ssl.create_default_context(cafile=str(certificate))).sink
    with contextlib.closing(right):
        right.deliver([record])
    assert sent(fake) == expected([0])
