# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of an organization, with its limits. Read-only."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

LIMITS = (
    "queries_per_day",
    "max_projects",
    "max_databases",
    "max_connections",
    "queries_per_second",
    "bytes_per_month",
    "max_query_shapes",
    "included_seats",
    "max_agent_credentials",
    "audit_retention_days",
    "sandbox_max_branches",
    "sandbox_max_upstream_bytes",
    "sandbox_idle_seconds",
    "sandbox_ttl_seconds",
)
PLAN = Resource(
    noun="plan",
    plural="plans",
    path="/v1/organizations/{org_id}/plan",
    parent="org_id",
    container="organization",
    identity=("org_id",),
    label_format="of organization {org_id}",
    is_singleton=True,
    get_by_id=False,
    paged=False,
    fields=(
        Field("org_id", read_only=True),
        Field("plan", read_only=True),
        Field("limits", "dict", fields=tuple(Field(name, "int", read_only=True) for name in LIMITS), read_only=True),
        Field("spend_limit", "float", read_only=True),
        Field("spend_capped", "bool", read_only=True),
        Field("spend_capped_at", read_only=True),
        Field("billing_provider", read_only=True),
        Field("subscription_status", read_only=True),
        Field("current_period_end", read_only=True),
        Field("enabled", "bool", read_only=True),
        Field("custom_pricing", "bool", read_only=True),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True),
    ),
)
