# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of AWX's API as the playbook that configures AWX needs, stateful and with AWX's own rules and messages.

The rules are those of AWX 24.6.1: awx/api/serializers.py, awx/main/access.py and the ``Meta`` of its models.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

PREFIX = "/api/v2/"
ENCRYPTED = "$encrypted$"
ADMIN = "token-of-a-system-administrator"
PAGE = 25

Item = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """The rules for one kind of object."""

    #: What its objects call themselves in ``type``.
    type: str
    #: The fields that no two objects have in common.
    unique: tuple[str, ...]
    #: The fields of a new object.
    defaults: Item = field(default_factory=dict)


KINDS = {
    "organizations": Kind("organization", ("name",)),
    "projects": Kind("project", ("name", "organization")),
    "inventories": Kind("inventory", ("name", "organization")),
    "credential_types": Kind(
        "credential_type", ("name", "kind"), {"description": "", "managed": False, "inputs": {}, "injectors": {}}
    ),
    "credentials": Kind(
        "credential", ("organization", "name", "credential_type"), {"organization": None, "inputs": {}}
    ),
    "execution_environments": Kind("execution_environment", ("name",), {"organization": None, "pull": ""}),
    "job_templates": Kind(
        "job_template", ("name", "organization"), {"description": "", "execution_environment": None, "limit": ""}
    ),
    "schedules": Kind("schedule", ("unified_job_template", "name"), {"enabled": True}),
}
#: The kinds that ``unified_job_templates`` lists. They share their ids; here, all kinds do.
UNIFIED = ("projects", "job_templates")


class RefusedError(Exception):
    """An answer that is an error: its status and body."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status, body)
        self.status, self.body = status, body


class Awx:
    """The objects of an AWX, and who may see and change them."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[int, Item]] = {kind: {} for kind in KINDS}
        #: The organization that each token administers; None for a system administrator's.
        self.tokens: dict[str, int | None] = {ADMIN: None}
        #: The playbooks that AWX found in each project when it was last synced.
        self.playbooks: dict[int, list[str]] = {}
        #: Every write so far, as method and path.
        self.writes: list[str] = []
        #: Requests that are answered with 400, by method and path, and the body of that answer.
        self.refused: dict[str, Item] = {}
        #: The secret inputs of the credentials, as sent.
        self.secrets: dict[int, dict[str, str]] = {}
        self._surveys: dict[int, Item] = {}
        self._attached: dict[int, list[int]] = {}
        self._ids = itertools.count(1)
        self.vault = self.add(
            "credential_types",
            name="Vault",
            kind="vault",
            managed=True,
            inputs={"fields": [{"id": "vault_password", "type": "string", "secret": True}]},
        )
        self.default = self.organization("Default")

    def organization(self, name: str) -> int:
        """Add an organization with a synced project, an inventory and a vault credential. Returns its id."""
        number: int = self.add("organizations", name=name)["id"]
        project = self.add("projects", name="databases", organization=number, scm_type="git", allow_override=False)
        self.playbooks[project["id"]] = ["audit.yml", "register.yml"]
        self.add("inventories", name="fleet", organization=number)
        self.add(
            "credentials",
            name="databases-vault",
            organization=number,
            credential_type=self.vault["id"],
            inputs={"vault_password": "the-vault-key"},
        )
        return number

    def add(self, collection: str, /, **fields: Any) -> Item:
        """Add an object behind the playbook's back. Returns it as the API shows it."""
        number = next(self._ids)
        item = {**KINDS[collection].defaults, **fields, "id": number, "type": KINDS[collection].type}
        item["url"] = f"{PREFIX}{collection}/{number}/"
        item["related"] = {name: f"{item['url']}{name}/" for name in ("credentials", "survey_spec")}
        self._check(collection, item)
        if collection == "credentials":
            self._hide(item, {})
        self.objects[collection][number] = item
        return item

    def one(self, kind: str, name: str, organization: int | None = None) -> Item:
        """The only object of this name, and of this organization unless it is None."""
        (found,) = [
            item
            for item in self.objects[kind].values()
            if item["name"] == name and organization in (None, item.get("organization"))
        ]
        return found

    def names(self, kind: str, organization: int | None = None) -> list[str]:
        """The names of all objects of a kind, or of those that the organization owns."""
        items = self.objects[kind].values()
        return sorted(i["name"] for i in items if organization in (None, i.get("organization")))

    def credentials(self, template: Item) -> list[str]:
        """The names of a template's credentials, each with the id of its organization: ``PgBeam of 3``."""
        items = [self.objects["credentials"][number] for number in self._attached.get(template["id"], [])]
        return sorted(f"{item['name']} of {item['organization']}" for item in items)

    def detach(self, template: Item) -> None:
        """Remove all credentials of a template behind the playbook's back."""
        self._attached[template["id"]] = []

    def survey(self, template: Item) -> Item:
        """A template's survey, which can be changed in place."""
        return self._surveys[template["id"]]

    def answer(self, method: str, path: str, query: dict[str, str], body: Item, token: str) -> tuple[int, Any]:
        """The status and the body of the answer to a request below ``/api/v2/``."""
        if token not in self.tokens:
            return 401, {"detail": "Authentication credentials were not provided."}
        if method != "GET":
            self.writes.append(f"{method} {path}")
        if refused := self.refused.get(f"{method} {path.strip('/')}"):
            return 400, refused
        kind, *rest = path.strip("/").split("/")
        try:
            if not rest:
                return self._list(kind, query, token) if method == "GET" else self._create(kind, body, token)
            item = self._visible(kind, token).get(int(rest[0]))
            if item is None:
                return 404, {"detail": "Not found."}
            if method != "GET" and not self._may_write(kind, item, token):
                return 403, {"detail": "You do not have permission to perform this action."}
            if len(rest) > 1:
                answer = self._survey_answer if rest[1] == "survey_spec" else self._credentials_answer
                return answer(method, item, body)
            return self._item_answer(method, kind, item, body)
        except RefusedError as error:
            return error.status, error.body

    def _list(self, kind: str, query: dict[str, str], token: str) -> tuple[int, Any]:
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        items = [item for each in kinds for item in self._visible(each, token).values()]
        page = int(query.pop("page", 1))
        any_of = {name[4:]: query.pop(name) for name in list(query) if name.startswith("or__")}
        found = [
            item
            for item in items
            if all(self._matches(item, name, value) for name, value in query.items())
            and (not any_of or any(self._matches(item, name, value) for name, value in any_of.items()))
        ]
        start = (page - 1) * PAGE
        rest = "&".join([*(f"{name}={value}" for name, value in query.items()), f"page={page + 1}"])
        following = f"{PREFIX}{kind}/?{rest}" if len(found) > start + PAGE else None
        return 200, {"count": len(found), "next": following, "results": found[start : start + PAGE]}

    def _matches(self, item: Item, name: str, value: str) -> bool:
        relation, _separator, rest = name.partition("__")
        if rest:
            return self._matches(self.objects[f"{relation}s"][item[relation]], rest, value)
        if name not in item:
            raise RefusedError(400, {"detail": f"{item['type']} has no field named '{name}'"})
        return str(item[name]) == value

    def _create(self, kind: str, body: Item, token: str) -> tuple[int, Any]:
        if kind == "job_templates":  # the organization is that of the project, whatever is sent
            body["organization"] = self._of("projects", body.get("project"), "project")["organization"]
        if not self._may_write(kind, body, token):
            return 403, {"detail": "You do not have permission to perform this action."}
        if kind == "credentials" and not body.get("organization"):
            return 400, {"detail": "Missing 'user', 'team', or 'organization'."}
        return 201, self.add(kind, **body)

    def _item_answer(self, method: str, kind: str, item: Item, body: Item) -> tuple[int, Any]:
        if method == "DELETE":
            del self.objects[kind][item["id"]]
            return 204, None
        if method == "PATCH":
            if kind == "job_templates":
                body.pop("organization", None)
            if (
                kind == "execution_environments"
                and body.get("organization", item["organization"]) != item["organization"]
            ):
                raise RefusedError(
                    400, {"organization": ["Cannot change the organization of an execution environment"]}
                )
            in_use = any(each["credential_type"] == item["id"] for each in self.objects["credentials"].values())
            if kind == "credential_types" and in_use and body.get("inputs", item["inputs"]) != item["inputs"]:
                detail = "Modifications to inputs are not allowed for credential types that are in use"
                raise RefusedError(403, {"detail": detail})
            changed = {**item, **body}
            self._check(kind, changed)
            if kind == "credentials":
                self._hide(changed, self.secrets[item["id"]])
            self.objects[kind][item["id"]] = changed
            return 200, changed
        return 200, item

    def _survey_answer(self, method: str, template: Item, body: Item) -> tuple[int, Any]:
        if method == "POST":
            self._surveys[template["id"]] = body
            return 200, {}
        return 200, self._surveys.get(template["id"], {})

    def _credentials_answer(self, method: str, template: Item, body: Item) -> tuple[int, Any]:
        numbers = self._attached.setdefault(template["id"], [])
        attached = [self.objects["credentials"][number] for number in numbers]
        if method == "POST" and body.get("disassociate"):
            numbers.remove(body["id"])
            return 204, None
        if method == "POST":
            added = self._of("credentials", body["id"], "id")
            if added["credential_type"] in [each["credential_type"] for each in attached]:
                name = self.objects["credential_types"][added["credential_type"]]["name"]
                raise RefusedError(400, {"error": f"Cannot assign multiple {name} credentials."})
            numbers.append(added["id"])
            return 204, None
        return 200, {"count": len(attached), "next": None, "results": attached}

    def _check(self, kind: str, item: Item) -> None:
        """Raise if AWX's validation would."""
        unique = KINDS[kind].unique
        values = [item.get(name) for name in unique]
        for other in self.objects[kind].values():
            if other["id"] != item["id"] and None not in values and [other.get(name) for name in unique] == values:
                message = f"{item['type']} with this {', '.join(unique)} already exists."
                raise RefusedError(400, {"__all__" if len(unique) > 1 else unique[0]: [message]})
        if kind == "credentials":
            self._of("credential_types", item.get("credential_type"), "credential_type")
        elif kind == "job_templates":
            project = self._of("projects", item.get("project"), "project")
            self._of("inventories", item.get("inventory"), "inventory")
            if item["execution_environment"] is not None:
                self._of("execution_environments", item["execution_environment"], "execution_environment")
            if item.get("playbook") not in self.playbooks[project["id"]]:
                raise RefusedError(400, {"playbook": ["Playbook not found for project."]})
        elif kind == "schedules":
            self._of("job_templates", item.get("unified_job_template"), "unified_job_template")

    def _of(self, kind: str, number: Any, name: str) -> Item:
        """The object that a field refers to."""
        if number not in self.objects[kind]:
            raise RefusedError(400, {name: [f'Invalid pk "{number}" - object does not exist.']})
        return self.objects[kind][number]

    def _hide(self, item: Item, before: dict[str, str]) -> None:
        """Put the secret inputs aside, and show that they are encrypted. ENCRYPTED stands for the value before."""
        fields = self.objects["credential_types"][item["credential_type"]]["inputs"].get("fields", [])
        secret = {each["id"] for each in fields if each.get("secret")} & set(item["inputs"])
        sent = {name: item["inputs"][name] for name in secret}
        self.secrets[item["id"]] = {name: before[name] if sent[name] == ENCRYPTED else sent[name] for name in sent}
        item["inputs"] = {**item["inputs"], **dict.fromkeys(secret, ENCRYPTED)}

    def _organization(self, kind: str, item: Item) -> int | None:
        """The organization that an object belongs to."""
        if kind == "organizations":
            return item.get("id")
        if kind == "schedules":
            return self._organization("job_templates", self.objects["job_templates"][item["unified_job_template"]])
        return item.get("organization")

    def _visible(self, kind: str, token: str) -> dict[int, Item]:
        """The objects of a kind that the token may see."""
        owner = self.tokens[token]
        shared = (owner, None) if kind in ("credential_types", "execution_environments") else (owner,)
        return {
            number: item
            for number, item in self.objects[kind].items()
            if owner is None or self._organization(kind, item) in shared
        }

    def _may_write(self, kind: str, item: Item, token: str) -> bool:
        owner = self.tokens[token]
        return owner is None or (kind != "credential_types" and self._organization(kind, item) == owner)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve the API on a free port until the block ends. Yields the URL."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = uvicorn.Server(uvicorn.Config(build(self.answer), log_level="warning", access_log=False))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def build(answer: Callable[[str, str, dict[str, str], Item, str], tuple[int, Any]]) -> FastAPI:
    """The application that hands each request to ``answer``."""
    app = FastAPI()

    @app.api_route(PREFIX + "{path:path}", methods=["GET", "POST", "PATCH", "DELETE"])
    async def request(request: Request, path: str) -> Response:
        body = await request.json() if await request.body() else {}
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        status, content = answer(request.method, path, dict(request.query_params), body, token)
        headers = {"X-API-Product-Name": "AWX", "X-API-Product-Version": "24.6.1"}
        return Response(status_code=204, headers=headers) if content is None else JSONResponse(content, status, headers)

    return app
