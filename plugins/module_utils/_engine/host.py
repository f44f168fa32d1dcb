# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host names and IP addresses: which texts are one, when two of them mean the same host, and how one is displayed.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
import typing as t

with contextlib.suppress(ImportError):  # requests depends on it, and no module gets as far as comparing without that
    import idna

HOST_RULE = "a host name or an IP address, and nothing else"
#: A part of a name between two dots. Underscores are no part of host names, but DNS allows them.
LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
#: The last part is not a number, which resolvers read as an IPv4 address.
NAME = re.compile(rf"(?:{LABEL}\.)*(?!(?:[0-9]+|0x[0-9a-f]*)$){LABEL}")


@functools.lru_cache(maxsize=65536)  # a list compares each host several times
def canonical(host: str) -> str:
    """The one spelling of a host. Raises ValueError for a text that is no host.

    An address is the same by its value, a name without case, without a trailing dot and in its IDNA form.
    """
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if "%" not in host:  # a zone means nothing on another machine
            return address.compressed
    # UnicodeError, for what is no internationalized name, is a ValueError.
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
    """A host as it reads in front of ``:port``: an IPv6 address in brackets."""
    text = str(host)
    return f"[{text}]" if ":" in text else text
