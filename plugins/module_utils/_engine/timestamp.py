# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments in time and dates, as RFC 3339 writes them: which texts are one, and when two mean the same moment.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone

DATE_RULE = "a date such as 2027-01-31"
TIMESTAMP_RULE = "a date and a time with a zone, such as 2027-01-31T12:00:00Z"
RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")


def canonical(text: str) -> str:
    """The one spelling of a moment, in UTC; texts of moments sort by time. Raises ValueError for anything else."""
    return _written(moment(text))


def moment(text: str) -> datetime:
    """The moment that a text stands for, in UTC. Raises ValueError for anything else."""
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
    """The text of a date, which has one spelling; texts of dates sort by time. Raises ValueError for anything else."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(text)
    date.fromisoformat(text)
    return text


def now() -> str:
    """This moment, to compare with others."""
    return _written(datetime.now(timezone.utc))


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
