# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A self-host enrollment: the credential of a proxy that a user runs. The API shows its token once."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.timestamp import TIMESTAMP_RULE, canonical

SELF_HOST_ENROLLMENT = Resource(
    noun="self_host_enrollment",
    plural="self_host_enrollments",
    path="/v1/organizations/{org_id}/self-host-enrollments",
    parent="org_id",
    container="organization",
    identity=("region_label",),
    label_format="{region_label}",
    update_verb="",
    list_envelope="enrollments",
    create_envelope="enrollment",
    issued=("token",),
    rotate_action="rotate",
    deleted_marker=("revoked_at", ()),
    get_by_id=False,
    filters=("region_label",),
    if_conflict="PgBeam accepts no self-hosted proxy while a project of the organization has an enabled approval rule: "
    "disable those rules (module approval_rule, enabled: false), then run again",
    fields=(
        Field("id", read_only=True),
        Field("org_id", read_only=True),
        Field(
            "region_label", pattern=r"[^\x00]{1,100}", must_be="text of 1 to 100 characters", required=True,
            immutable=True,
        ),
        Field("description", pattern=r"[^\x00]{0,500}", must_be="text of at most 500 characters", immutable=True),
        Field(
            "expires_at", must_be=TIMESTAMP_RULE, normalize=canonical, nullable=True, immutable=True, in_future=True,
        ),
        Field("created_by", read_only=True),
        Field("last_seen_at", read_only=True),
        Field("revoked_at", read_only=True),
        Field("created_at", read_only=True),
    ),
)  # fmt: skip
