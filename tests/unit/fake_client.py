# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Client over objects in memory. Each call can be scripted to fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Resource, Values
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.client import Answer, Check, Client, Settings
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import ApiError, Call
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.region import REGION
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.schema_annotation import SCHEMA_ANNOTATION

#: By the last part of their paths.
RESOURCES = {
    resource.path.rpartition("/")[2]: resource for resource in (PROJECT, DATABASE, REPLICA, REGION, SCHEMA_ANNOTATION)
}
CACHE: Values = {"enabled": False, "ttl_seconds": 60, "max_entries": 10, "swr_seconds": 5}
Failure = Callable[[Call], ApiError]


def refused(status: int, code: str | None = "REFUSED") -> Failure:
    """The server refuses the call. 401, 402 and 403 end the run."""
    return lambda call: ApiError(call, f"{status} {code}", "look at it", status=status, code=code)


def lost(status: int | None = None, budget_spent: bool = False) -> Failure:
    """The call fails, but the server may have applied it. A spent budget ends the run."""
    return lambda call: ApiError(
        call, "connection lost", "look at it", status=status, outcome_unknown=True, budget_spent=budget_spent
    )


@dataclass
class Sent:
    """One call, as it was sent."""

    method: str
    path: str
    query: Values | None
    body: Values | None
    etag: str | None


@dataclass
class Step:
    """The effect on the next call of this method to a path with this ending."""

    method: str
    ends: str
    failure: Failure | None = None
    #: Whether the server applies the call although it fails.
    applied: bool = False
    #: Values of the answer that replace the right ones.
    answer: Values = field(default_factory=dict)
    #: Called before the server applies the call.
    meanwhile: Callable[[], object] = lambda: None


class FakeClient(Client):
    """Serves the objects of some resources from memory, each with an entity tag that changes with the object."""

    def __init__(self) -> None:
        self.settings = Settings("pgb_only-in-tests")
        self.fatal_error = None
        self.calls: list[Sent] = []
        #: The maximum number of calls in flight.
        self.peak = 0
        #: The defaults of new objects, by noun.
        self.begins_with: dict[str, Values] = {
            "database": {"ssl_mode": "prefer", "cache_config": CACHE},
            "project": {"status": "active"},
        }
        self.connection_test: Values = {"ok": True}
        #: The format of entity tags. Empty: the server has none. If exact, If-Match must repeat the tag as it was sent.
        self.tag_format = '"{}"'
        self.exact_tags = False
        self._objects: dict[str, Values] = {}
        self._versions: dict[str, int] = {}
        self._steps: list[Step] = []
        self._created = 0
        self._under_way = 0
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def scripted(cls) -> Iterator[FakeClient]:
        """A client for one test, which must make all the calls that the test has scripted."""
        client = cls()
        yield client
        assert not client._steps, "scripted calls that were not made"

    def script(self, method: str, ends: str = "", skip: int = 0, times: int = 1, **step: Any) -> None:
        """Script the next calls of this method to a path with this ending, after ``skip`` calls served as usual."""
        self._steps += [Step(method, ends)] * skip + [Step(method, ends, **step) for dummy in range(times)]

    def add(self, resource: Resource, parent: str, **values: Any) -> None:
        """Add an object as another client."""
        parents = {resource.parent: parent} if resource.parent else {}
        self._store(f"{resource.path.format(**parents)}/{values['id']}", {**parents, **values})

    def change(self, identifier: str, **values: Any) -> None:
        """Change an object as another client."""
        path = self._path(identifier)
        self._store(path, {**self._objects[path], **values})

    def remove(self, identifier: str) -> None:
        """Delete an object as another client."""
        del self._objects[self._path(identifier)]

    def truth(self, identifier: str) -> Values:
        """Return the stored object, including secrets."""
        return self._objects[self._path(identifier)]

    @property
    def ids(self) -> list[str]:
        """The ids of all objects, in the order of their creation."""
        return [item["id"] for item in self._objects.values()]

    @property
    def made(self) -> list[str]:
        """The method and the last part of the path of each call."""
        return [f"{sent.method} {sent.path.rpartition('/')[2]}" for sent in self.calls]

    @property
    def methods(self) -> list[str]:
        return [sent.method for sent in self.calls]

    def bodies(self, method: str) -> list[Values]:
        return [sent.body or {} for sent in self.calls if sent.method == method]

    def get(self, path: str, target: str, check: Check | None = None, query: Values | None = None) -> Answer:
        return self._serve(Call("GET", path, target, query), check)

    def list_all(
        self,
        path: str,
        key: str,
        target: str,
        check: Check | None = None,
        query: Values | None = None,
        paged: bool = True,
    ) -> list[Values]:
        def check_all(page: Values) -> str | None:
            return next(filter(None, map(check, page[key])), None) if check else None

        items: list[Values] = self._serve(Call("GET", path, target, query), check_all).content[key]
        return items

    def write(
        self,
        method: str,
        path: str,
        target: str,
        body: Values | None = None,
        check: Check | None = None,
        etag: str | None = None,
        keyed: bool = True,
    ) -> Answer:
        return self._serve(Call(method, path, target, None, body), check, etag)

    def delete(self, path: str, target: str, query: Values | None = None) -> bool:
        try:
            self._serve(Call("DELETE", path, target, query))
        except ApiError as error:
            if not error.not_found:
                raise
            return error.outcome_unknown
        return True

    def _serve(self, call: Call, check: Check | None = None, etag: str | None = None) -> Answer:
        if self.fatal_error and call.method != "GET":
            raise ApiError(call, "not attempted", "look at it", attempts=0)
        with self._lock:
            self.calls.append(Sent(call.method, call.path, call.query, call.body, etag))
            found = (s for s in self._steps if s.method == call.method and call.path.endswith(s.ends))
            step = next(found, Step("", ""))
            if step.method:
                self._steps.remove(step)
            self._under_way += 1
            self.peak = max(self.peak, self._under_way)
        try:
            step.meanwhile()
            answer = Answer({})
            if step.failure is None or step.applied:
                with self._lock:
                    answer = self._act(call, etag)
            if step.failure:
                raise step.failure(call)
            answer.content.update(step.answer)
            wrong = check(answer.content) if check else None
            if wrong:
                raise ApiError(call, wrong, "look at it", status=200, outcome_unknown=True)
        except ApiError as error:
            error.outcome_unknown = error.outcome_unknown and call.method != "GET"
            if error.fatal:
                self.fatal_error = self.fatal_error or error
            raise
        finally:
            with self._lock:
                self._under_way -= 1
        return answer

    def _act(self, call: Call, etag: str | None) -> Answer:
        path, body = call.path, call.body or {}
        last = path.rpartition("/")[2]
        if call.method == "GET" and last in RESOURCES:
            items = [self._shown(at) for at in self._objects if at.rpartition("/")[0] == path]
            matching = [i for i in items if all(i[k] == v for k, v in (call.query or {}).items())]
            return Answer({RESOURCES[last].items_key: matching})
        if call.method == "POST":
            return self._create(path, body) if last in RESOURCES else Answer(dict(self.connection_test))
        if last in RESOURCES:  # of an object without its own path
            path = self._named(path, body or call.query or {})
            if call.method == "PUT":
                return self._put(path, body)
        if path not in self._objects:
            raise ApiError(call, "404 NOT_FOUND", "look at it", status=404, code="NOT_FOUND")
        if call.method == "DELETE":
            del self._objects[path]
            return Answer({})
        if call.method == "PATCH":
            shown = self._tag(path) or ""
            if etag and etag != shown and (self.exact_tags or etag != shown.removeprefix("W/")):
                raise ApiError(call, "412 CONFLICT", "look at it", status=412, code="CONFLICT")
            self._store(path, {**self._objects[path], **body})
        return Answer(self._shown(path), self._tag(path))

    def _named(self, path: str, values: Values) -> str:
        """Return the path of the collection's object with this identity, or the path itself if there is none."""
        names = RESOURCES[path.rpartition("/")[2]].identity
        below = [at for at in self._objects if at.rpartition("/")[0] == path]
        return next((at for at in below if all(self._objects[at].get(n) == values.get(n) for n in names)), path)

    def _put(self, path: str, body: Values) -> Answer:
        """Create the object if the path is that of a collection, otherwise replace it."""
        if path not in self._objects:
            return self._create(path, body)
        item = self._objects[path]
        self._store(path, {"id": item["id"], "project_id": item["project_id"], **body})
        return Answer(self._shown(path))

    def _create(self, path: str, body: Values) -> Answer:
        resource = RESOURCES[path.rpartition("/")[2]]
        first = resource.nested.noun if resource.nested else ""
        self._created += 1
        identifier = f"new_{self._created}"
        values = {name: value for name, value in body.items() if name != first}
        if resource.path_has_parent:
            values[resource.parent] = path.split("/")[3]
        self._store(f"{path}/{identifier}", {**self.begins_with.get(resource.noun, {}), **values, "id": identifier})
        if not resource.create_envelope:
            return Answer(self._shown(f"{path}/{identifier}"), self._tag(f"{path}/{identifier}"))
        content = {resource.create_envelope: self._shown(f"{path}/{identifier}")}
        if resource.nested and first in body:
            content[first] = self._create(resource.nested.path.format(project_id=identifier), body[first]).content
        return Answer(content, '"of both"')

    def _store(self, path: str, values: Values) -> None:
        self._objects[path] = values
        self._versions[path] = self._versions.get(path, 0) + 1

    def _shown(self, path: str) -> Values:
        return RESOURCES[path.split("/")[-2]].without_secrets(self._objects[path])

    def _tag(self, path: str) -> str | None:
        return self.tag_format.format(self._versions[path]) or None

    def _path(self, identifier: str) -> str:
        return next(path for path in self._objects if path.endswith(f"/{identifier}"))
