# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and control the sandbox and real Ansible commands, for the tests, the demo and the benchmark."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import requests

from tests.tree import ROOT, link_tree

API_KEY = "pbu_0aB9-tests-only-Kk7"
#: The commands with which every module runs in its own process.
HANDED_OVER = ROOT / ".work" / "handed_over" / Path(sys.prefix).name
WRITES = ("POST", "PATCH", "DELETE", "PUT")
#: The ends of the paths of POST operations that only read.
READS = ("/policy-evaluations", "/policy-replays")
#: The default fields of a database that a test creates as another client.
DATABASE: dict[str, Any] = {
    "host": "db1.example.com", "port": 5432, "name": "orders", "username": "app", "password": "Behind-1",
}  # fmt: skip
_numbers = itertools.count(1)


def is_write(exchange: Mapping[str, Any]) -> bool:
    """Whether a request may change something."""
    return exchange["method"] in WRITES and not exchange["path"].endswith(READS)


@dataclass
class Scope(abc.ABC):
    """An organization or a project of the sandbox: its API, faults and record."""

    url: str
    id: str
    kind: ClassVar[str]

    @property
    @abc.abstractmethod
    def path(self) -> str:
        """The path of the list that its API calls use."""

    def api(self, method: str, path: str = "", **kwargs: Any) -> requests.Response:
        """Call the API below ``path`` as another client would."""
        return self._call(method, self.path + path, **kwargs)

    def post(self, path: str, body: Mapping[str, Any], method: str = "POST") -> dict[str, Any]:
        """Create an object as another client. Returns the answer."""
        response = self._call(method, path, json=body)
        assert response.status_code == (201 if method == "POST" else 200), response.text
        answer: dict[str, Any] = response.json()
        return answer

    def fault(self, kind: str, **settings: Any) -> None:
        """Set a fault for matching requests; see tests/sandbox/models.py."""
        self._control("POST", "/faults", {"kind": kind, **settings})

    def clear_faults(self) -> None:
        self._control("DELETE", "/faults", {})

    def settings(self, **settings: Any) -> None:
        self._control("PUT", "", settings)

    def put(self, key: str, **fields: Any) -> dict[str, Any]:
        """Store an object that the API cannot create, or change the object with this id. Return it."""
        stored: dict[str, Any] = self._control("POST", f"/objects/{key}", fields)
        return stored

    def secrets(self, salt: str) -> dict[str, dict[str, str]]:
        """Return the salted hashes of the stored secrets, by object id and field, oldest object first."""
        answer = requests.get(f"{self._control_url}/secrets", params={"salt": salt}, timeout=10)
        hashes: dict[str, dict[str, str]] = answer.json()
        return hashes

    def seed(self, key: str, *entries: Mapping[str, Any]) -> None:
        """Replace the entries of a read-only list, such as ``anomalies``."""
        self._control("PUT", f"/seeded/{key}", entries)

    def stored(self, key: str) -> dict[str, dict[str, Any]]:
        """Return the stored objects of a kind, such as ``policies``, by id."""
        return self._truth(key)

    def record(self) -> list[dict[str, Any]]:
        """Return all exchanges so far; those with projects of an organization belong to the projects."""
        response = requests.get(f"{self.url}/_sandbox/requests", params={self.kind: self.id}, timeout=10)
        entries: list[dict[str, Any]] = response.json()
        return entries

    def writes(self) -> list[tuple[str, str]]:
        """Method and path of every write so far."""
        return [(entry["method"], entry["path"]) for entry in self.record() if is_write(entry)]

    @property
    def _control_url(self) -> str:
        return f"{self.url}/_sandbox/{self.kind}s/{self.id}"

    def _control(self, method: str, path: str, body: Any) -> Any:
        response = requests.request(method, self._control_url + path, json=body, timeout=10)
        assert response.status_code == 200, response.text
        return response.json()

    def _truth(self, key: str) -> dict[str, dict[str, Any]]:
        """Return the stored objects of a kind, by id, once no request is in flight."""
        deadline = time.monotonic() + 30
        while True:
            answer = requests.get(self._control_url, timeout=10).json()
            if not answer["under_way"] or time.monotonic() > deadline:
                return {item["id"]: item for item in answer[key]}
            time.sleep(0.05)

    def _call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {API_KEY}", **kwargs.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=10, **kwargs)

    def pages(self, path: str, key: str, page_size: int | None = 100, **query: Any) -> list[dict[str, Any]]:
        """All items of a list at a path, read page by page."""
        items: list[dict[str, Any]] = []
        query["page_size"] = page_size  # None for lists without pages
        while True:
            page = self._call("GET", path, params=query).json()
            items += page[key]
            if not page.get("next_page_token"):
                return items
            query["page_token"] = page["next_page_token"]


class Organization(Scope):
    """An organization of the sandbox. Its faults hit the requests of its projects, too."""

    kind = "organization"

    @property
    def path(self) -> str:
        return "/v1/projects"

    def create_project(self, **fields: Any) -> dict[str, Any]:
        """Create a project as another client. Returns the answer, which contains project and database.

        ``database`` has the fields of the first database that are not to be those of DATABASE.
        """
        database = {**DATABASE, **fields.pop("database", {})}
        return self.post(self.path, {"name": "shop", **fields, "org_id": self.id, "database": database})

    def plan(self) -> dict[str, Any]:
        """Read the plan as another client."""
        answer: dict[str, Any] = self._call("GET", f"/v1/organizations/{self.id}/plan").json()
        return answer

    def projects(self) -> list[dict[str, Any]]:
        """All projects, read page by page."""
        return self.pages(self.path, "projects", org_id=self.id)

    def truth(self) -> dict[str, dict[str, Any]]:
        """Return the stored projects, by id, once no request is in flight.

        Each holds its ``databases``, its ``replicas`` and the objects of every other kind, as lists.
        """
        return self._truth("projects")

    def objects(self) -> dict[str, dict[str, Any]]:
        """Return the stored projects and their objects, by id, once no request is in flight."""
        return self._truth("objects")

    def whole_record(self) -> list[dict[str, Any]]:
        """Return all exchanges with it and its projects so far, once no request is in flight."""
        scopes = [self, *(Project(self.url, name) for name in self.truth())]
        return [entry for scope in scopes for entry in scope.record()]


class Project(Scope):
    """A project of the sandbox. Its API is that of its databases."""

    kind = "project"

    @property
    def path(self) -> str:
        return f"/v1/projects/{self.id}/databases"

    def register(self, **fields: Any) -> dict[str, Any]:
        """Register a database as another client."""
        return self.post(self.path, {**DATABASE, **fields})

    def databases(self) -> list[dict[str, Any]]:
        """All registrations, read page by page."""
        return self.pages(self.path, "databases")

    def register_replica(self, database_id: str, **fields: Any) -> dict[str, Any]:
        """Add a replica to a database as another client."""
        body = {"host": "replica1.example.com", "port": 5432, **fields}
        return self.post(f"/v1/databases/{database_id}/replicas", body)

    def replicas(self, database_id: str) -> list[dict[str, Any]]:
        """All replicas of a database, read page by page."""
        return self.pages(f"/v1/databases/{database_id}/replicas", "replicas")

    def truth(self) -> dict[str, dict[str, Any]]:
        """Return the stored databases, by id, once no request is in flight."""
        return self.stored("databases")

    def create(self, key: str, **fields: Any) -> dict[str, Any]:
        """Create an object of a kind of the project, such as ``policies``. Returns the answer."""
        return self.post(f"/v1/projects/{self.id}/{key.replace('_', '-')}", fields)

    def see_query(self, database_id: str, normalized_sql: str, **statistics: Any) -> dict[str, Any]:
        """Let PgBeam see a query. Returns the cache rule that it creates then."""
        seen = {"query_hash": query_hash(normalized_sql), "normalized_sql": normalized_sql, **statistics}
        return self.put("entries", database_id=database_id, **seen)

    def record_statement(self, agent_id: str, sql: str, at: str | None = None) -> None:
        """Record a statement of an agent, with the outcome under its current policy."""
        self._control("POST", "/traffic", {"agent_id": agent_id, "sql": sql, "at": at})

    def passwords(self, salt: str) -> list[str]:
        """Return only the hashes of the databases' passwords."""
        return [fields["password"] for fields in self.secrets(salt).values() if "password" in fields]


@dataclass
class Sandbox:
    url: str
    #: Its output, if requested.
    log: Path | None = None

    @staticmethod
    @contextlib.contextmanager
    def start(*projects: str, certificate: Path | None = None, log: Path | None = None) -> Iterator[Sandbox]:
        """Run the sandbox in its own process, on a free port, until the block ends.

        With https for a PEM file; with a log, what it prints goes there.
        """
        command = [sys.executable, "-m", "tests.sandbox", "--port", "0"]
        command += ["--certificate", str(certificate)] if certificate else []
        command += [word for project in projects for word in ("--project", project)]
        printed = open(log, "w") if log else contextlib.nullcontext(None)  # noqa: SIM115  # closed below
        with (
            printed as errors,
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
        ):
            try:
                assert process.stdout is not None
                url = process.stdout.readline().strip()
                assert url, "the sandbox did not start"
                yield Sandbox(url, log)
            finally:
                process.terminate()
                if errors and process.stdout:
                    errors.write(process.stdout.read())

    def project(self, **settings: Any) -> Project:
        """A new, empty project."""
        project = Project(self.url, f"prj_{next(_numbers):04d}")
        project.settings(**settings)
        return project

    def project_of(self, project_id: str) -> Project:
        """An existing project, such as one that the collection created."""
        return Project(self.url, project_id)

    def organization(self, **settings: Any) -> Organization:
        """A new organization without projects."""
        organization = Organization(self.url, f"org_{next(_numbers):04d}")
        organization.settings(**settings)
        return organization

    @property
    def default_organization(self) -> Organization:
        """The owner of the projects of ``project()`` and of requests without an organization."""
        return Organization(self.url, "org_sandbox")

    @contextlib.contextmanager
    def recorded(self) -> Iterator[list[dict[str, Any]]]:
        """Collect all exchanges inside the block. At its end, raise if the contract forbids one."""
        # The unit tests' conftest imports this file, and ansible-test does not install openapi-core for them.
        from tests import contract

        record = f"{self.url}/_sandbox/requests"
        before = requests.get(f"{record}/count", timeout=10).json()
        seen: list[dict[str, Any]] = []
        yield seen
        seen += requests.get(record, {"after": before}, timeout=60).json()
        contract.judge(seen)

    def forget(self) -> None:
        """Clear the record, which otherwise grows with every answer."""
        assert requests.delete(f"{self.url}/_sandbox/requests", timeout=10).status_code == 204


def query_hash(normalized_sql: str) -> str:
    """What tells a query from the others. PgBeam has another function for it."""
    return hashlib.sha256(normalized_sql.encode()).hexdigest()[:16]


def hand_over() -> None:
    """From now on, run every module in its own process, as on a remote host."""
    other_python()
    os.environ["TESTS_HANDED_OVER"] = "1"


def other_python() -> str:
    """Return the path of a Python that differs for the collection, in a directory of commands that request it."""
    HANDED_OVER.mkdir(parents=True, exist_ok=True)
    asking = f'-e ansible_python_interpreter="{HANDED_OVER}/python"'
    for name, more in (("python", ""), ("ansible", asking), ("ansible-playbook", asking)):
        with tempfile.NamedTemporaryFile("w", dir=HANDED_OVER, delete=False) as file:
            file.write(f'#!/bin/sh\nexec "{Path(sys.executable).parent}/{name}" "$@" {more}\n')
        os.chmod(file.name, 0o755)
        os.replace(file.name, HANDED_OVER / name)  # other test processes may be starting it
    return str(HANDED_OVER / "python")


def handing_over() -> bool:
    return "TESTS_HANDED_OVER" in os.environ


def ansible_env(url: str, home: Path, **extra: str) -> dict[str, str]:
    """Return the environment of an Ansible command that uses the sandbox, without the developer's settings."""
    commands = [str(HANDED_OVER)] if handing_over() else []
    return {
        "PATH": os.pathsep.join([*commands, str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(link_tree()),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "PGBEAM_API_URL": url,
        "PGBEAM_API_KEY": API_KEY,
        **extra,
    }
