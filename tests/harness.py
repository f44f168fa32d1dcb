# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests, the demo and the benchmark start and drive: the sandbox and real Ansible commands."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.tree import ROOT, link_tree

API_KEY = "pbu_0aB9-tests-only-Kk7"
WRITES = ("POST", "PATCH", "DELETE", "PUT")
_numbers = itertools.count(1)


@dataclass
class Project:
    """One project of the sandbox, as a test sees it: its API, its faults and its record."""

    url: str
    id: str

    @property
    def path(self) -> str:
        return f"/v1/projects/{self.id}/databases"

    def api(self, method: str, path: str = "", **kwargs: Any) -> requests.Response:
        """Call the API as another client would."""
        headers = {"Authorization": f"Bearer {API_KEY}", **kwargs.pop("headers", {})}
        return requests.request(method, f"{self.url}{self.path}{path}", headers=headers, timeout=10, **kwargs)

    def register(self, **fields: Any) -> dict[str, Any]:
        """Register a database behind the collection's back."""
        body: dict[str, Any] = {"host": "db1.example.com", "port": 5432, "name": "orders", "username": "app"}
        body.update({"password": "Behind-1", **fields})
        response = self.api("POST", json=body)
        assert response.status_code == 201, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def databases(self) -> list[dict[str, Any]]:
        """All registrations, read page by page."""
        items: list[dict[str, Any]] = []
        query: dict[str, Any] = {"page_size": 100}
        while True:
            page = self.api("GET", params=query).json()
            items += page["databases"]
            if not page.get("next_page_token"):
                return items
            query["page_token"] = page["next_page_token"]

    def fault(self, kind: str, **settings: Any) -> None:
        """Ask for a fault with the next matching request; see tests/sandbox/models.py."""
        self._control("POST", "/faults", {"kind": kind, **settings})

    def clear_faults(self) -> None:
        self._control("DELETE", "/faults", {})

    def truth(self) -> dict[str, dict[str, Any]]:
        """What the server truly has, by id, once nothing is under way."""
        deadline = time.monotonic() + 30
        while any(entry["under_way"] for entry in self.record()) and time.monotonic() < deadline:
            time.sleep(0.05)
        answer = requests.get(f"{self.url}/_sandbox/projects/{self.id}", timeout=10).json()
        return {item["id"]: item for item in answer["databases"]}

    def settings(self, **settings: Any) -> None:
        self._control("PUT", "", settings)

    def record(self) -> list[dict[str, Any]]:
        """Every exchange with this project so far."""
        response = requests.get(f"{self.url}/_sandbox/requests", params={"project": self.id}, timeout=10)
        entries: list[dict[str, Any]] = response.json()
        return entries

    def writes(self) -> list[tuple[str, str]]:
        """Method and path of every write so far."""
        return [(e["method"], e["path"]) for e in self.record() if e["method"] in WRITES]

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[dict[str, Any]]]:
        """The exchanges that happen inside the block, there when it ends."""
        before = len(self.record())
        seen: list[dict[str, Any]] = []
        yield seen
        seen += self.record()[before:]

    def passwords(self, salt: str) -> list[str]:
        """The salted hashes of the passwords that arrived, in the order of registration."""
        answer = requests.get(f"{self.url}/_sandbox/projects/{self.id}/passwords", params={"salt": salt}, timeout=10)
        hashes: dict[str, str] = answer.json()
        return list(hashes.values())

    def _control(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        response = requests.request(method, f"{self.url}/_sandbox/projects/{self.id}{path}", json=body, timeout=10)
        assert response.status_code == 200, response.text


@dataclass
class Sandbox:
    url: str
    #: What it prints, where that was asked for.
    log: Path | None = None

    @staticmethod
    @contextlib.contextmanager
    def start(*projects: str, certificate: Path | None = None, log: Path | None = None) -> Iterator[Sandbox]:
        """Run the sandbox in a process of its own, on a free port, until the block ends.

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

    def forget(self) -> None:
        """Empty the record, which else grows by every answer's text."""
        assert requests.delete(f"{self.url}/_sandbox/requests", timeout=10).status_code == 204


def ansible_env(url: str, home: Path, **extra: str) -> dict[str, str]:
    """The environment of an Ansible command that talks to the sandbox, and to nothing of the developer's own."""
    bin_dir = str(Path(sys.executable).parent)
    return {
        "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",
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
