# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An organization: the owner of projects. Read-only; the API lists those that the key can see."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

ORGANIZATION = Resource(
    noun="organization",
    plural="organizations",
    path="/v1/organizations",
    label_format="{name}",
    get_by_id=False,
    paged=False,
    filters=("name", "slug"),
    fields=(
        Field("id", read_only=True),
        Field("name", read_only=True),
        Field("slug", read_only=True),
        Field("role", read_only=True),
    ),
)
