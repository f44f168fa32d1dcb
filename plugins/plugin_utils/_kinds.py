# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of objects that the role manages in a project, beside its databases and their replicas.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.agent import AGENT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.honeytoken import HONEYTOKEN
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.policy import POLICY

#: Each has a variable of its plural's name and a list module. In this order they are applied, and deleted in reverse:
#: an object can only refer to those of kinds before its own.
KINDS: tuple[Resource, ...] = (
    POLICY,
    AGENT,
    HONEYTOKEN,
)
