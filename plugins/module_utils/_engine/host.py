# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate, compare and display host names and IP addresses.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
import typing as t

with contextlib.suppress(ImportError):  # requests depends on it, and no module runs without requests
    import idna

HOST_RULE = "a host name or an IP address, and nothing else"
#: A part of a name between two dots. Underscores are not allowed in host names, but are allowed in DNS names.
LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
#: The last part is not a number, which resolvers read as an IPv4 address.
NAME = re.compile(rf"(?:{LABEL}\.)*(?!(?:[0-9]+|0x[0-9a-f]*)$){LABEL}")


@functools.lru_cache(maxsize=65536)  # a list compares each host several times
def canonical(host: str) -> str:
    """Return the canonical form of a host. Raises ValueError if the text is not a host.

    Addresses are compressed; names are lower-case, in IDNA form and without a trailing dot.
    """
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if "%" not in host:  # a zone has no meaning on another machine
            return address.compressed
    # UnicodeError, raised for an invalid internationalized name, is a ValueError.
    name = ".".join(map(_encoded, host.removesuffix(".").split(".")))
    if len(name) > 253 or not NAME.fullmatch(name):
        raise ValueError(host)
    return name


def _encoded(label: str) -> str:
    if label.isascii():
        return label.lower()
    try:
        return idna.encode(label, uts46=True).decode()
    except NameError:
        return label.encode("idna").decode()


def bracketed(host: t.Any) -> str:
    """Return a host as it is written before ``:port``: an IPv6 address in brackets."""
    text = str(host)
    return f"[{text}]" if ":" in text else text
