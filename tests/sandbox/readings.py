# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PgBeam notes of its traffic, and a client can only read: alerts, requests for approval, usage."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pgbeam import models
from pydantic import TypeAdapter

from tests.sandbox.declaration import Item
from tests.sandbox.refusals import invalid
from tests.sandbox.sdk import hints, optional, strict
from tests.sandbox.state import FIRST_PAGE, Id, PageSize, PageToken, Scope, State


@dataclass(frozen=True)
class Reading:
    """One operation that lists what a project or an organization has noted."""

    path: str
    #: The list's place in the answer.
    key: str
    #: The SDK's model of an entry.
    model: Any
    paged: bool = True
    #: The types of the parameters that select entries by a field of the same name; all may be omitted.
    filters: Mapping[str, Any] = field(default_factory=dict)
    #: Whether the first and the last day are asked for.
    dated: bool = False

    @property
    def of_project(self) -> bool:
        return "{project_id}" in self.path

    @functools.cached_property
    def entry(self) -> TypeAdapter[Item]:
        return TypeAdapter(strict(self.model, "forbid"))


READINGS = (
    Reading(
        "/v1/projects/{project_id}/approvals",
        "approvals",
        models.ApprovalRequest,
        filters={"status": hints(models.ApprovalRequest)["status"]},
    ),
    Reading(
        "/v1/projects/{project_id}/anomalies",
        "anomalies",
        models.AnomalyAlert,
        filters={"status": hints(models.AnomalyAlert)["status"], "kind": models.AnomalyKind},
    ),
    Reading("/v1/projects/{project_id}/usage", "usage", models.ProjectDailyUsage, paged=False, dated=True),
    Reading("/v1/organizations/{org_id}/usage", "usage", models.DailyUsage, paged=False, dated=True),
)


def note(scope: Scope, of_project: bool, key: str, entries: list[Item]) -> None:
    """Let a scope have noted these entries, if they are such as the contract has them."""
    (reading,) = [each for each in READINGS if (each.of_project, each.key) == (of_project, key)]
    scope.noted[key] = [reading.entry.validate_python(entry) for entry in entries]


def router(state: State) -> APIRouter:
    router = APIRouter()
    for reading in READINGS:
        router.get(re.sub(r"{\w+}", "{parent_id}", reading.path))(_operation(state, reading))
    return router


def _operation(state: State, reading: Reading) -> Callable[..., Any]:
    async def read(parent_id: str, **given: Any) -> Item:
        scope = state.project(parent_id) if reading.of_project else state.organization(parent_id)
        rows = scope.noted[reading.key]
        for name in reading.filters:
            rows = [row for row in rows if given[name] in (None, row[name])]
        if reading.dated:
            if given["end_date"] < given["start_date"]:
                raise invalid([{"field": "end_date", "detail": "it is before start_date"}])
            days = [given["start_date"].isoformat(), given["end_date"].isoformat()]
            rows = [row for row in rows if days[0] <= row["day"] <= days[1]]
        shown = [scope.shown(row, optional(reading.model)) for row in rows]
        if not reading.paged:
            return {reading.key: shown}
        return scope.page(reading.key, dict(enumerate(shown)), dict, given["page_size"], given["page_token"])

    # FastAPI takes the names of the query's parameters from the signature.
    kinds: dict[str, Any] = {"parent_id": (Id, Parameter.empty)}
    kinds |= {name: (Annotated[choices | None, Query()], None) for name, choices in reading.filters.items()}
    if reading.dated:
        kinds |= dict.fromkeys(("start_date", "end_date"), (Annotated[date, Query()], Parameter.empty))
    if reading.paged:
        kinds |= {"page_size": (PageSize, 20), "page_token": (PageToken, FIRST_PAGE)}
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in kinds.items()
    ]
    read.__signature__ = Signature(parameters, return_annotation=Item)  # type: ignore[attr-defined]
    return read
