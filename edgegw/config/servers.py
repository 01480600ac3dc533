"""What the sections of servers have in common: a URL, and certificates to trust."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgegw.config.layers import read_small
from edgegw.config.lines import KeyPath
from edgegw.config.report import Report
from edgegw.config.urls import Address, UrlError, parse


def address_of(report: Report, path: KeyPath, url: str, ports: Mapping[str, int], example: str = "") -> Address | None:
    """The key url of the section at `path`, taken apart; None after noting what is wrong with it. `example`: one that is right."""
    try:
        return parse(url, ports, example)
    except UrlError as error:
        report.add((*path, "url"), error.what, error.suggestion)
        return None


def check_ca(report: Report, path: KeyPath, file: Path | None, tls: bool, remedy: str) -> None:
    """Note a ca_file that holds no certificate, or that would not be used; `remedy` is what to write to have TLS."""
    if file is None:
        return
    if not tls:
        report.add((*path, "ca_file"), "has no meaning on a connection without TLS", remedy)
        return
    try:
        if b"-----BEGIN " not in read_small(file)[0]:
            report.add((*path, "ca_file"), f"{file} holds no certificate in PEM form")
    except OSError as error:
        report.add((*path, "ca_file"), f"{file} {error}")
