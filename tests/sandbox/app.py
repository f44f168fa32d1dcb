# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's operations on databases, with the state behind them."""

from __future__ import annotations

import hashlib
import itertools
import random
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Any
from urllib.parse import quote

import psycopg
from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tests.sandbox.models import CreateDatabase, Fault, ProjectSettings, UpdateDatabase

Id = Annotated[str, Path(pattern=r"^[a-zA-Z0-9_.-]+$")]
ZERO_LEFT_OUT = ("role", "pool_region", "query_timeout_ms", "auto_read_routing")


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str, fields: list[dict[str, str]] | None = None) -> None:
        self.status, self.code, self.message, self.fields = status, code, message, fields or []


@dataclass
class Project:
    id: str
    settings: ProjectSettings = field(default_factory=ProjectSettings)
    #: By sequence number, which is also the cursor.
    databases: dict[int, dict[str, Any]] = field(default_factory=dict)
    #: By database id; kept apart, so that no answer can hold one.
    passwords: dict[str, str] = field(default_factory=dict)
    faults: list[tuple[Fault, random.Random]] = field(default_factory=list)
    #: The second of the clock that is counted, and how many requests came in it.
    window: tuple[int, int] = (0, 0)

    def over_the_rate_limit(self) -> bool:
        second = int(time.monotonic())
        self.window = (second, self.window[1] + 1 if self.window[0] == second else 1)
        limit = self.settings.requests_per_second
        return limit is not None and self.window[1] > limit

    def add_fault(self, fault: Fault) -> None:
        self.faults.append((fault.model_copy(), random.Random(fault.seed)))

    def next_fault(self, method: str, path: str, body: bytes) -> Fault | None:
        """The fault that hits this request: the first that matches it, is not used up, and has the luck."""
        for fault, luck in self.faults:
            fits = fault.method in (None, method) and path.endswith(fault.path_ends) and fault.body_has.encode() in body
            if not fits or fault.times < 1:
                continue
            if fault.skip > 0:
                fault.skip -= 1
            elif luck.random() < fault.probability:
                fault.times -= 1
                return fault
        return None

    def refuse(self, refusal: Refusal) -> JSONResponse:
        return refuse(refusal, self.settings.envelope)

    def find(self, database_id: str) -> tuple[int, dict[str, Any]]:
        for number, item in list(self.databases.items()):  # the test runs in a thread
            if item["id"] == database_id:
                return number, item
        raise Refusal(404, "NOT_FOUND", f"database {database_id} not found")

    def shown(self, item: dict[str, Any]) -> dict[str, Any]:
        zero = {n for n in ZERO_LEFT_OUT if item[n] in ("", 0, False, "primary")}
        left_out = zero if self.settings.omit_zero else set()
        place = f"{self.id}.proxy.pgbeam.app:5432/{quote(item['name'], safe='')}"
        string = f"postgresql://{quote(item['username'], safe='')}:YOUR_PASSWORD@{place}"
        extra = {"shard": {"number": 7}, "labels": ["a"]} if self.settings.extra_fields else {}
        return {k: v for k, v in {**item, "connection_string": string, **extra}.items() if k not in left_out}


@dataclass
class State:
    projects: dict[str, Project] = field(default_factory=dict)
    #: What each exchange was, for tests to read; no key and no password is in it.
    record: list[dict[str, Any]] = field(default_factory=list)
    #: The same by project.
    records: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def note(self, entry: dict[str, Any]) -> None:
        self.record.append(entry)
        self.records[entry["project"]].append(entry)

    def project(self, project_id: str) -> Project:
        if project_id not in self.projects:
            raise Refusal(404, "NOT_FOUND", f"project {project_id} not found")
        return self.projects[project_id]


def refuse(refusal: Refusal, envelope: str = "error") -> JSONResponse:
    """The refusal in one of the two envelopes that are in the field."""
    if envelope == "error":
        return JSONResponse({"error": {"code": refusal.code, "message": refusal.message}}, refusal.status)
    problem = {
        "type": f"https://pgbeam.com/errors/{refusal.code.lower()}",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": refusal.status,
        "detail": refusal.message,
        "code": refusal.code,
        "errors": refusal.fields,
    }
    return JSONResponse(problem, refusal.status, media_type="application/problem+json")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def api(state: State) -> APIRouter:
    """The operations: coroutines, so that no two of them interleave, but for the test, which waits for PostgreSQL."""
    router = APIRouter(prefix="/v1/projects/{project_id}/databases")

    @router.post("", status_code=201)
    async def create(project_id: Id, body: CreateDatabase) -> dict[str, Any]:
        project = state.project(project_id)
        limit = project.settings.plan_limit
        if limit is not None and len(project.databases) >= limit:
            raise Refusal(403, "PLAN_LIMIT_REACHED", f"The plan allows {limit} databases.")
        number = next(state.numbers)
        fields = body.model_dump()
        database_id = f"db_{number:04d}{secrets.token_hex(11)}"
        project.passwords[database_id] = fields.pop("password")
        now = _now()
        item = {"id": database_id, "project_id": project_id, **fields, "created_at": now, "updated_at": now}
        project.databases[number] = item
        return project.shown(item)

    @router.get("")
    async def list_all(
        project_id: Id,
        page_size: Annotated[int, Query(ge=1, le=100)] = 20,
        page_token: Annotated[str, Query(pattern=r"^[a-zA-Z0-9_.-]+$")] = "after_-1",
    ) -> dict[str, Any]:
        project = state.project(project_id)
        kind, dummy, place = page_token.partition("_")
        try:
            after = int(place)
        except ValueError:
            raise Refusal(400, "INVALID_INPUT", "page_token is not one of ours") from None
        if project.settings.empty_pages and kind == "after":
            return {"databases": [], "next_page_token": f"from_{after}"}
        numbers = sorted(number for number in project.databases if number > after)
        page = numbers[: min(page_size, project.settings.page_limit)]
        answer: dict[str, Any] = {"databases": [project.shown(project.databases[n]) for n in page]}
        if len(numbers) > len(page):
            answer["next_page_token"] = f"after_{page[-1]}"
        return {**answer, "total": len(numbers)} if project.settings.extra_fields else answer

    @router.get("/{database_id}")
    async def get(project_id: Id, database_id: Id) -> dict[str, Any]:
        project = state.project(project_id)
        return project.shown(project.find(database_id)[1])

    @router.patch("/{database_id}")
    async def update(project_id: Id, database_id: Id, body: UpdateDatabase) -> dict[str, Any]:
        project = state.project(project_id)
        item = project.find(database_id)[1]
        fields = body.model_dump(exclude_unset=True)
        if "password" in fields:
            project.passwords[database_id] = fields.pop("password")
        if "max_active" not in (body.pool_config.model_fields_set if body.pool_config else {"max_active"}):
            del fields["pool_config"]["max_active"]
            fields["pool_config"] = {**item["pool_config"], **fields["pool_config"]}
        item.update(fields, updated_at=_now())
        return project.shown(item)

    @router.delete("/{database_id}", status_code=204)
    async def delete(project_id: Id, database_id: Id) -> Response:
        project = state.project(project_id)
        number = project.find(database_id)[0]
        del project.databases[number]
        return Response(status_code=204)

    @router.post("/{database_id}/test-connection")
    def test_connection(project_id: Id, database_id: Id) -> dict[str, Any]:
        project = state.project(project_id)
        item = project.find(database_id)[1]
        if project.settings.connection_test is not None:
            return project.settings.connection_test
        started = time.perf_counter()
        try:
            with psycopg.connect(
                host=item["host"], port=item["port"], dbname=item["name"], user=item["username"],
                password=project.passwords[database_id], sslmode=item["ssl_mode"], connect_timeout=5,
            ) as connection:  # fmt: skip
                version = connection.execute("show server_version").fetchone()
        except psycopg.Error as error:
            return {"ok": False, "latency_ms": None, "error": str(error).strip()}
        latency = round((time.perf_counter() - started) * 1000, 1)
        return {"ok": True, "latency_ms": latency, "server_version": version[0] if version else ""}

    return router


def control(state: State) -> APIRouter:
    """The sandbox's own door: set projects and faults up, read the record."""
    router = APIRouter(prefix="/_sandbox")

    @router.put("/projects/{project_id}")
    def put_project(project_id: Id, settings: ProjectSettings) -> dict[str, Any]:
        project = state.projects.setdefault(project_id, Project(project_id))
        project.settings = settings
        return {"id": project_id}

    @router.get("/projects/{project_id}")
    async def get_project(project_id: Id) -> dict[str, Any]:
        """What the server truly has, past faults, pages and the record."""
        return {"databases": list(state.project(project_id).databases.values())}

    @router.get("/projects/{project_id}/passwords")
    async def passwords(project_id: Id, salt: str) -> dict[str, str]:
        """The salted hash of each password, by database id: to compare with what was meant, without showing it."""
        kept = state.project(project_id).passwords
        return {
            name: hashlib.sha256((salt + word).encode(errors="surrogatepass")).hexdigest()
            for name, word in kept.items()
        }

    @router.delete("/projects/{project_id}/faults")
    def clear_faults(project_id: Id) -> dict[str, Any]:
        state.project(project_id).faults.clear()
        return {"faults": 0}

    @router.post("/projects/{project_id}/faults")
    def add_fault(project_id: Id, fault: Fault) -> dict[str, Any]:
        state.project(project_id).add_fault(fault)
        return {"faults": len(state.project(project_id).faults)}

    @router.get("/requests")
    def requests(project: str = "", after: int = 0) -> JSONResponse:
        """The record, or one project's, from an entry on. Past pydantic, which takes seconds for a long one."""
        return JSONResponse((state.records[project] if project else state.record)[after:])

    @router.get("/requests/count")
    def count() -> int:
        return len(state.record)

    @router.delete("/requests", status_code=204)
    def forget() -> None:
        state.record.clear()
        state.records.clear()

    return router


def build(state: State) -> FastAPI:
    app = FastAPI(title="PgBeam sandbox")
    app.include_router(api(state))
    app.include_router(control(state))

    def envelope(request: Request) -> str:
        project = state.projects.get(request.path_params.get("project_id", ""))
        return project.settings.envelope if project else "error"

    @app.exception_handler(Refusal)
    def refused(request: Request, refusal: Refusal) -> JSONResponse:
        return refuse(refusal, envelope(request))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        fields = [{"field": ".".join(str(p) for p in e["loc"][1:]), "detail": e["msg"]} for e in error.errors()]
        message = "; ".join(f"{f['field']}: {f['detail']}" for f in fields)
        return refuse(Refusal(400, "INVALID_INPUT", message, fields), envelope(request))

    @app.exception_handler(HTTPException)
    def no_route(request: Request, error: HTTPException) -> JSONResponse:
        return refuse(Refusal(error.status_code, "NOT_FOUND", str(error.detail)), envelope(request))

    return app
