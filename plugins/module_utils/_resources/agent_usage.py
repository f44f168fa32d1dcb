# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The usage of the agents of a project in a period. Read-only."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import timestamp
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource, Values

MAX_DAYS = 92
COUNTS = (
    "entries",
    "allowed",
    "blocked",
    "masked",
    "truncated",
    "rows_returned",
    "bytes_out",
    "cache_hit",
    "cache_stale",
    "cache_miss",
    "cache_bypass",
    "cache_none",
    "latency_measured",
    "latency_unmeasured",
)
TIMES = (
    "latency_ms_total",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
)
LINE = (
    Field("credential_id", read_only=True),
    *(Field(name, "int", read_only=True) for name in COUNTS),
    *(Field(name, "float", read_only=True) for name in TIMES),
    Field("first_seen", read_only=True),
    Field("last_seen", read_only=True),
)


def _in_order(values: Values) -> str | None:
    start, end = values.get("start"), values.get("end")
    if start is None:
        return None
    latest = timestamp.parse(end) if end is not None else datetime.now(timezone.utc)
    window = latest - timestamp.parse(start)
    until = f"end ({end!r})" if end is not None else "now"
    if window < timedelta(0):
        return f"start: {start!r} is after {until}; set an earlier time"
    if window > timedelta(days=MAX_DAYS):
        return f"start: {start!r} is more than {MAX_DAYS} days before {until}; set a later time"
    return None


AGENT_USAGE = Resource(
    noun="agent_usage",
    plural="agent_usages",
    path="/v1/projects/{project_id}/usage/agents",
    parent="project_id",
    identity=("project_id",),
    label_format="of project {project_id}",
    is_singleton=True,
    get_by_id=False,
    paged=False,
    query=(
        Field("start", must_be=timestamp.TIMESTAMP_RULE, normalize=timestamp.canonical),
        Field("end", must_be=timestamp.TIMESTAMP_RULE, normalize=timestamp.canonical),
    ),
    check=_in_order,
    fields=(
        Field("project_id", read_only=True),
        Field("requested_start", read_only=True),
        Field("requested_end", read_only=True),
        Field("window_start", read_only=True),
        Field("window_end", read_only=True),
        Field("complete", "bool", read_only=True),
        Field("agents", "list", elements=Field("agent", "dict", fields=LINE), read_only=True),
        Field("unattributed", "dict", read_only=True),
        Field("totals", "dict", read_only=True),
        Field(
            "marginal_rates",
            "dict",
            fields=(
                Field("plan", read_only=True),
                Field("queries_per_day", "int", read_only=True),
                Field("bytes_per_month", "int", read_only=True),
                Field("overage_per_1k_queries", "float", read_only=True),
                Field("overage_per_gb", "float", read_only=True),
                Field("query_overage_billable", "bool", read_only=True),
                Field("bytes_overage_billable", "bool", read_only=True),
            ),
            read_only=True,
        ),
        Field(
            "drop_markers",
            "dict",
            fields=(
                Field("markers", "int", read_only=True),
                Field("truncated", "bool", read_only=True),
                Field("entries_dropped", "int", read_only=True),
                Field("markers_unparsed", "int", read_only=True),
                Field("reasons", "list", elements=Field("reason"), read_only=True),
            ),
            read_only=True,
        ),
    ),
)
