"""The proxy of edgegw.testing, under the name that the tests know."""

from __future__ import annotations

from edgegw.testing.proxy import Proxy

__all__ = ["Proxy"]
