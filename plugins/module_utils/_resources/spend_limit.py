# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A spend limit: the maximum that an organization may spend in a month. It is read as part of the plan."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.plan import PLAN

SPEND_LIMIT = Resource(
    noun="spend_limit",
    plural="spend_limits",
    path=PLAN.path,
    write_path="/v1/organizations/{org_id}/spend-limit",
    parent=PLAN.parent,
    identity=PLAN.identity,
    label_format=PLAN.label_format,
    is_singleton=True,
    update_verb="PUT",
    creatable=False,
    deletable=False,
    get_by_id=False,
    paged=False,
    fields=(
        PLAN.field("org_id"),
        PLAN.field("plan"),
        Field("spend_limit", "float", minimum=0, required=True, nullable=True),
        Field("spend_capped", "bool", read_only=True, changes_on_write=True),
        Field("spend_capped_at", read_only=True, changes_on_write=True),
    ),
)
