# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An approval: a request to approve a statement of an agent that PgBeam holds. Read-only."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

APPROVAL = Resource(
    noun="approval",
    plural="approvals",
    path="/v1/projects/{project_id}/approvals",
    parent="project_id",
    label_format="{id}",
    get_by_id=False,
    filters=("credential_id",),
    query=(Field("status", choices=("pending", "approved", "rejected", "expired", "executed", "failed")),),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field("credential_id", nullable=True, read_only=True),
        Field("policy_profile_id", read_only=True),
        Field("approval_rule_name", read_only=True),
        Field("status", read_only=True),
        Field("statement_kind", read_only=True),
        Field("sql", read_only=True),
        Field("normalized_sql", read_only=True),
        Field("target_tables", "list", elements=Field("target_tables"), read_only=True),
        Field("estimated_rows", "int", read_only=True),
        Field("region", read_only=True),
        Field("session_id", read_only=True),
        Field("requested_at", read_only=True),
        Field("expires_at", read_only=True),
        Field("decided_at", read_only=True),
        Field("decided_by", read_only=True),
        Field("reason", read_only=True),
    ),
)
