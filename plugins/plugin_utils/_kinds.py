# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of objects that the role manages in a project, in addition to databases and replicas.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.agent import AGENT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.anomaly_rule import ANOMALY_RULE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.approval_rule import APPROVAL_RULE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.domain import DOMAIN
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.honeytoken import HONEYTOKEN
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.policy import POLICY
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.query_template import QUERY_TEMPLATE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.schema_annotation import SCHEMA_ANNOTATION
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.webhook import WEBHOOK

#: Each has a variable and a list module with the name of its plural. They are applied in this order and deleted in
#: reverse order: objects can only refer to objects of earlier kinds.
KINDS: tuple[Resource, ...] = (
    QUERY_TEMPLATE,
    POLICY,
    AGENT,
    WEBHOOK,
    DOMAIN,
    HONEYTOKEN,
    APPROVAL_RULE,
    ANOMALY_RULE,
    SCHEMA_ANNOTATION,
)
