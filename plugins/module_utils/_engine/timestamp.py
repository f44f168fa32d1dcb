# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate and compare RFC 3339 timestamps and dates.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone

DATE_RULE = "a date such as 2027-01-31"
TIMESTAMP_RULE = "a date and time with a time zone, such as 2027-01-31T12:00:00Z"
RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")


def canonical(text: str) -> str:
    """Return a timestamp in UTC; such texts sort by time. Raises ValueError if it is invalid."""
    return _format(parse(text))


def parse(text: str) -> datetime:
    """Return the moment of a timestamp, in UTC. Raises ValueError if it is invalid."""
    found = RFC_3339.fullmatch(text)
    if not found:
        raise ValueError(text)
    day, time, fraction, zone = found.groups()
    zone = "+00:00" if zone in "Zz" else zone
    try:
        whole = datetime.fromisoformat(f"{day}T{time}{zone}").astimezone(timezone.utc)
    except OverflowError:
        raise ValueError(text) from None
    return whole + timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6]))


def calendar_date(text: str) -> str:
    """Return a date as it is; such texts sort by time. Raises ValueError if it is invalid."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(text)
    date.fromisoformat(text)
    return text


def now() -> str:
    """Return the canonical form of the current time."""
    return _format(datetime.now(timezone.utc))


def _format(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
