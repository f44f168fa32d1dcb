# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A webhook: an endpoint that PgBeam sends the events of a project to."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Action, Field, Resource

EVENT_TYPES = (
    "query_blocked", "budget_exhausted", "kill_switch", "masked", "migration_flagged", "approval_requested",
    "anomaly_alert", "canary_tripped", "content_flagged", "audit_checkpoint", "webhook.test",
)  # fmt: skip

WEBHOOK = Resource(
    noun="webhook",
    plural="webhooks",
    path="/v1/projects/{project_id}/webhooks",
    parent="project_id",
    identity=("url",),
    label_format="{url}",
    update_verb="PUT",
    filters=("url", "format", "enabled"),
    summary=("id", "url", "enabled"),
    action=Action(
        "test", option="test_delivery", result="delivery_test", success=("status", "delivered"),
        label="test delivery", failure="PgBeam could not deliver the test event", reasons=("error", "status_code"),
        advice=lambda dummy: "check url, secret, format and the network path from PgBeam to the endpoint",
        code="DELIVERY_TEST_FAILED",
    ),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field(
            "url", pattern=r"(?i:https)://[^\s\x00]{1,2040}", must_be="an https:// URL of at most 2048 characters",
            required=True,
        ),
        Field("secret", pattern=r"[^\x00]{1,256}", must_be="text of 1 to 256 characters", secret=True),
        Field("format", choices=("json", "splunk_hec", "datadog", "elastic")),
        Field("event_types", "list", elements=Field("event_type", choices=EVENT_TYPES)),
        Field("enabled", "bool"),
        Field("description", pattern=r"[^\x00]{0,256}", must_be="text of at most 256 characters"),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
