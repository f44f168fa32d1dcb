# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replica: a server for read queries of a registered database. The API cannot update one."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.host import HOST_RULE, bracketed, canonical
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import SSL_MODES

REPLICA = Resource(
    noun="replica",
    plural="replicas",
    path="/v1/databases/{database_id}/replicas",
    parent="database_id",
    identity=("host", "port"),
    label_format="{host}:{port}",
    update_verb="",
    get_by_id=False,
    filters=("host", "port"),
    summary=("id", "host", "port", "ssl_mode"),
    fields=(
        Field("id", read_only=True),
        Field("database_id", read_only=True),
        Field("host", must_be=HOST_RULE, required=True, normalize=canonical, display=bracketed),
        Field("port", "int", minimum=1, maximum=65535, identity_default=5432),
        Field("ssl_mode", choices=SSL_MODES),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True),
    ),
)  # fmt: skip
