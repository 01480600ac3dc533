"""What httpx raises, as a verdict: whether the request can have reached FindFace, and a sentence that says what to do."""

from __future__ import annotations

import os
import ssl

import httpx

from edgegw.sinks.findface.answers import Answer, Fate

_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID: our own clock is more often wrong than the certificate
_BEFORE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


def failed(error: Exception, timeout_s: float) -> Answer:
    """A request without an answer."""
    tls = _tls_cause(error)
    if isinstance(tls, ssl.SSLCertVerificationError):
        said = f"its certificate does not hold: {tls.verify_message}"
        if tls.verify_code == _NOT_YET_VALID:
            return Answer(Fate.AWAY, "TLS", f"{said} (is the clock right?)")
        return Answer(Fate.REFUSED, "TLS", f"{said}; check ca_file and the host in url")
    if isinstance(error, httpx.ConnectError) and tls is not None:
        return Answer(Fate.REFUSED, "TLS", f"no TLS: {tls.reason or tls}; check that the port in url is the one for https")
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        fate = Fate.AWAY if isinstance(error, _BEFORE) else Fate.UNSURE
        return Answer(fate, "", f"no answer within {timeout_s:g} s")
    return Answer(Fate.AWAY if isinstance(error, _BEFORE) else Fate.UNSURE, "", _reason(error))


def _tls_cause(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


def _reason(error: BaseException) -> str:
    """What the system says at the bottom of it, else what httpx says."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and isinstance(below.errno, int) and below.errno > 0:
            return os.strerror(below.errno)
        if isinstance(below, OSError) and below.strerror:  # a name that cannot be looked up
            return below.strerror
        below = below.__cause__ or below.__context__
    return str(error) or type(error).__name__
