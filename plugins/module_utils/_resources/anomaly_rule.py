# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An anomaly rule: when a metric of one agent, or of all, counts as unusual."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import (
    ID_PATTERN,
    Field,
    Resource,
    Values,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.agent import AGENT

RATES = ("queries_per_hour", "bytes_per_hour", "errors_per_hour")
METRICS = (*RATES, "distinct_shapes", "active_hours")


def check(values: Values) -> str | None:
    """Return a sentence if an option is not available for the metric, otherwise None."""
    metric = values.get("metric")
    for name in ("sigma_threshold", "floor"):
        if metric is not None and metric not in RATES and values.get(name) is not None:
            return f"{name}: not available for metric {metric}, only for {', '.join(RATES)}; omit it, or set it to null"
    return None


def scope(agent: str | None) -> str:
    """Return the agents that a rule applies to, for messages."""
    return agent or "all agents"


ANOMALY_RULE = Resource(
    noun="anomaly_rule",
    plural="anomaly_rules",
    path="/v1/projects/{project_id}/anomaly-rules",
    parent="project_id",
    identity=("credential_id", "metric"),
    label_format="{metric} of {credential_id}",
    update_verb="PUT",
    filters=("credential_id", "metric", "enabled"),
    summary=("id", "credential_id", "metric"),
    check=check,
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field(
            "credential_id", pattern=f"(?:{ID_PATTERN})?", must_be="the id of an agent", nullable=True, display=scope,
            refers_to=AGENT, name_option="agent",
        ),
        Field("metric", choices=METRICS, required=True),
        Field("sigma_threshold", "float", exclusive_minimum=0, nullable=True),
        Field("floor", "float", exclusive_minimum=0, nullable=True),
        Field("enabled", "bool"),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
