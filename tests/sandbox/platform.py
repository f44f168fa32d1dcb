# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there without a project: the regions, and the organizations that a key may see."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from tests.sandbox.declaration import Item
from tests.sandbox.state import State

REGIONS: list[Item] = [
    {
        "id": "us-east-1", "name": "US East (N. Virginia)", "provider": "aws", "status": "active", "available": True,
        "continent": "North America", "country": "United States",
    },
    {
        "id": "eu-central-1", "name": "Europe (Frankfurt)", "provider": "aws", "status": "active", "available": True,
        "continent": "Europe", "country": "Germany",
    },
    {
        "id": "westeurope", "name": "West Europe", "provider": "azure", "status": "draining", "available": False,
        "continent": "Europe", "country": "Netherlands",
    },
]  # fmt: skip


def router(state: State) -> APIRouter:
    router = APIRouter(prefix="/v1")

    @router.get("/regions")
    async def regions() -> dict[str, Any]:
        return {"regions": [state.default.shown(region) for region in REGIONS]}

    @router.get("/organizations")
    async def organizations(request: Request) -> dict[str, Any]:
        key = request.headers["authorization"].removeprefix("Bearer ")
        role = {"role": "owner"} if key.startswith("pbu_") else {}
        rows = [{"id": name, "name": name, "slug": name.lower().replace("_", "-")} for name in state.visible(key)]
        return {"organizations": [state.default.shown({**row, **role}) for row in rows]}

    return router
