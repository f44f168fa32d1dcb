# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An anomaly: an alert about unusual activity of an agent. Read-only."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

ANOMALY = Resource(
    noun="anomaly",
    plural="anomalies",
    path="/v1/projects/{project_id}/anomalies",
    parent="project_id",
    label_format="{id}",
    get_by_id=False,
    filters=("credential_id", "severity"),
    query=(
        Field("status", choices=("open", "acknowledged", "resolved")),
        Field(
            "kind",
            choices=(
                "volume_spike",
                "egress_spike",
                "new_query_shape",
                "off_hours",
                "error_spike",
                "canary_tripped",
                "content_flagged",
            ),
        ),
    ),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field("credential_id", nullable=True, read_only=True),
        Field("kind", read_only=True),
        Field("severity", choices=("info", "warning", "critical"), read_only=True),
        Field("status", read_only=True),
        Field("title", read_only=True),
        Field("details", "dict", read_only=True),
        Field("window_start", read_only=True),
        Field("window_end", read_only=True),
        Field("created_at", read_only=True),
        Field("acknowledged_at", read_only=True),
        Field("acknowledged_by", read_only=True),
    ),
)
