# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daily usage of a project, by region, or of an organization. Read-only."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import timestamp
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource, Values


def _in_order(values: Values) -> str | None:
    start, end = values.get("start_date"), values.get("end_date")
    if start is None or end is None or start <= end:
        return None
    return f"end_date: {end!r} is before start_date ({start!r}); set the same or a later date"


OF_ORGANIZATION = Resource(
    noun="usage",
    plural="usage",
    path="/v1/organizations/{org_id}/usage",
    parent="org_id",
    container="organization",
    id_field="",
    label_format="{day}",
    get_by_id=False,
    paged=False,
    query=(
        Field("start_date", must_be=timestamp.DATE_RULE, normalize=timestamp.calendar_date, required=True),
        Field("end_date", must_be=timestamp.DATE_RULE, normalize=timestamp.calendar_date, required=True),
    ),
    check=_in_order,
    fields=(
        Field("day", read_only=True),
        Field("region", read_only=True),
        Field("queries_total", "int", read_only=True),
        Field("cache_hits", "int", read_only=True),
        Field("cache_misses", "int", read_only=True),
        Field("connection_seconds", "int", read_only=True),
        Field("bytes_transferred", "int", read_only=True),
    ),
)
USAGE = replace(
    OF_ORGANIZATION,
    path="/v1/projects/{project_id}/usage",
    parent="project_id",
    container="",
    alternative=OF_ORGANIZATION,
)
