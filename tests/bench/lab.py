# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that are measured, each run once when its method is called with the number of registrations.

The lab starts the commands, the sandboxes are processes of their own. What a command needs, files and projects, is
there before its time begins: a create gets a new project, all others share the ones that were filled without latency.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.bench.stages import environment, stages
from tests.harness import API_KEY, Project, Sandbox, ansible_env, other_python
from tests.relay import Relay, port_of

FOLDER = Path(__file__).parent
LATENCY_MS = 40
PASSWORD = "For-the-bench-only"
LOGIN = {"username": "app", "password": "{{ lookup('ansible.builtin.env', 'DB_PASSWORD') }}"}
ROLE = "pgbeam.cloud.register_databases"


@dataclass(frozen=True)
class Sample:
    """One run: its time, the peak memory of its largest process, and the requests that the sandbox got from it."""

    seconds: float
    peak_mib: float
    requests: dict[str, int]
    #: The connections to the API, where these were counted.
    connections: int = 0
    #: The seconds of its stages, where these were asked for.
    stages: dict[str, float] = field(default_factory=dict)


class Lab:
    """Runs commands in ``home`` against the sandbox, and against one that serves TLS with this certificate."""

    def __init__(self, sandbox: Sandbox, tls: Sandbox, certificate: Path, home: Path, hosts: int, changes: int) -> None:
        self._sandbox, self._tls, self._certificate, self._home = sandbox, tls, certificate, home
        self._hosts, self._changes = hosts, changes
        self._filled: dict[int, Project] = {}
        self._listed: dict[int, Project] = {}
        self._ssl_modes = itertools.cycle(("require", "prefer"))
        self._more_env: dict[str, str] = {}
        self._elsewhere = ["-e", f"ansible_python_interpreter={other_python()}"]

    def staged(self, run: Callable[[int], Sample]) -> Callable[[int], Sample]:
        """The same command, with a sample that holds its stages. These are not free: a run that is timed has none."""

        def staged(size: int) -> Sample:
            told = self._home / "stages.jsonl"
            told.unlink(missing_ok=True)
            self._more_env = environment(told)
            try:
                return run(size)
            finally:
                self._more_env = {}

        return staged

    def ping(self, size: int) -> Sample:
        """``ansible-playbook`` with one ping: what every playbook costs before it does anything."""
        return self._playbook(None, self._play("ansible.builtin.ping", {}))

    def listing(self, size: int) -> Sample:
        """All pages of a list, read in this process with requests and nothing else: what no client can save."""
        project = self._registered(size)
        self._sandbox.forget()
        started = time.perf_counter()
        with _session() as session:
            query: dict[str, Any] = {"page_size": 100}
            while True:
                page = session.get(project.url + project.path, params=query, timeout=30).json()
                if not page.get("next_page_token"):
                    break
                query["page_token"] = page["next_page_token"]
        return Sample(time.perf_counter() - started, 0, _counted(project))

    def role_create(self, size: int) -> Sample:
        """The role, one host with the whole list, none of it registered."""
        return self._role(self._empty(), self._one_host(size))

    def role_check(self, size: int) -> Sample:
        """The role, one host with the whole list, all of it registered."""
        return self._role(self._registered(size), self._one_host(size))

    def role_hosts(self, size: int) -> Sample:
        """The role, the same list spread over many hosts, all of it registered."""
        databases: dict[str, list[dict[str, Any]]] = {}
        for entry in self._entries(size):
            databases.setdefault(entry["host"], []).append({"name": entry["name"]})
        inventory = self._inventory(f"hosts{size}", list(databases), {})
        for host, own in databases.items():
            self._write(f"hosts{size}/host_vars/{host}.yml", {"pgbeam_databases": own})
        return self._role(self._registered(size), inventory)

    def role_changes(self, size: int) -> Sample:
        """The role, one host with the whole list, some of it to be changed: from run to run to and fro."""
        changing: list[dict[str, Any]] = [{"ssl_mode": "{{ ssl_mode }}"}] * self._changes
        rest: list[dict[str, Any]] = [{}] * (size - self._changes)
        databases = [{**entry, **more} for entry, more in zip(self._entries(size), changing + rest)]
        inventory = self._inventory(f"changes{size}", ["db0.example.com"], {"pgbeam_databases": databases})
        return self._role(self._registered(size), inventory, "-e", f"ssl_mode={next(self._ssl_modes)}")

    def lists_create(self, size: int) -> Sample:
        """The role, as many query templates as schema annotations, none of which exists."""
        return self._role(self._empty(), self._inventory(f"lists{size}", ["db0.example.com"], _lists(size)))

    def lists_check(self, size: int) -> Sample:
        """The role, the same lists, all of which exist."""
        if size not in self._listed:
            project = self._listed[size] = self._sandbox.project()
            lists = _lists(size)
            for template in lists["pgbeam_query_templates"]:
                project.create("query_templates", **template)
            for annotation in lists["pgbeam_schema_annotations"]:
                project.post(f"/v1/projects/{project.id}/schema-annotations", annotation, "PUT")
            project.settings(latency_ms=LATENCY_MS)
        return self._role(self._listed[size], self._inventory(f"lists{size}", ["db0.example.com"], _lists(size)))

    def loop_create(self, size: int) -> Sample:
        """A loop over the module for one database, none of them registered."""
        return self._loop(self._empty(), self._entries(size))

    def loop_check(self, size: int) -> Sample:
        """A loop over the module for one database, all of them registered, found by host and name."""
        return self._loop(self._registered(size), self._entries(size))

    def loop_tls(self, size: int) -> Sample:
        """A loop over the module for one database, none of them registered, over TLS."""
        project = self._tls.project(latency_ms=LATENCY_MS)
        with Relay.start(to=port_of(self._tls)) as relay:
            options = {"api_url": f"https://127.0.0.1:{relay.port}", "ca_path": str(self._certificate)}
            sample = self._loop(project, self._entries(size), options)
        return dataclasses.replace(sample, connections=relay.connections)

    def loop_handed_over(self, size: int) -> Sample:
        """A loop over the module for one database, all registered, with another Python, as on another host."""
        return self._loop(self._registered(size), self._entries(size), {}, *self._elsewhere)

    def loop_ping(self, size: int) -> Sample:
        """A loop over ``ping``: what Ansible takes for an item of any loop that is handed over."""
        play = self._play("ansible.builtin.ping", {}, loop=list(range(size)))
        return self._playbook(None, play, *self._elsewhere)

    def uri_create(self, size: int) -> Sample:
        """The playbook with ansible.builtin.uri, none of the databases registered."""
        return self._uri("uri_create.yml", self._empty(), size)

    def uri_check(self, size: int) -> Sample:
        """The same playbook, all of the databases registered. It compares no settings."""
        return self._uri("uri_create.yml", self._registered(size), size)

    def uri_keep(self, size: int) -> Sample:
        """The playbook with ansible.builtin.uri that sends each registered database's settings again."""
        return self._uri("uri_keep.yml", self._registered(size), size)

    def sdk_create(self, size: int) -> Sample:
        """The script with the official SDK, none of the databases registered."""
        return self._sdk(self._empty(), size)

    def sdk_check(self, size: int) -> Sample:
        """The same script, all of the databases registered. It compares no settings."""
        return self._sdk(self._registered(size), size)

    def _role(self, project: Project, inventory: Path, *words: str) -> Sample:
        return self._playbook(project, ROLE, "-i", str(inventory), "-e", f"pgbeam_project_id={project.id}", *words)

    def _loop(
        self, project: Project, items: list[dict[str, Any]], more: dict[str, Any] | None = None, *words: str
    ) -> Sample:
        options = {name: f"{{{{ item.{name} }}}}" for name in items[0]}
        task = {"project_id": "{{ project_id }}", **options, **LOGIN, **(more or {})}
        play = self._play("pgbeam.cloud.database", task, loop=items)
        return self._playbook(project, play, "-e", f"project_id={project.id}", *words)

    def _uri(self, playbook: str, project: Project, size: int) -> Sample:
        words = ["-e", f"project_id={project.id}", "-e", f"@{self._wanted(size)}"]
        return self._playbook(project, str(FOLDER / "rivals" / playbook), *words)

    def _sdk(self, project: Project, size: int) -> Sample:
        script = str(FOLDER / "rivals" / "sdk.py")
        return self._run(project, [sys.executable, script, project.id, str(self._wanted(size))])

    def _playbook(self, project: Project | None, *words: str) -> Sample:
        return self._run(project, ["ansible-playbook", *words])

    def _run(self, project: Project | None, command: list[str]) -> Sample:
        self._sandbox.forget()
        output = self._home / "output.txt"
        done = subprocess.run(
            [sys.executable, "-I", str(FOLDER / "launch.py"), str(output), *command],
            cwd=self._home,
            env=ansible_env(self._sandbox.url, self._home, DB_PASSWORD=PASSWORD, **self._more_env),
            stdout=subprocess.PIPE,
            check=True,
        )
        told = json.loads(done.stdout)
        if told["status"]:
            raise RuntimeError(f"{command} ended with {told['status']}:\n{output.read_text()[-3000:]}")
        spent = stages(Path(self._more_env["BENCH_TIMELINE"]), told["began"], told["ended"]) if self._more_env else {}
        counted = _counted(project) if project else {}
        return Sample(told["ended"] - told["began"], told["peak"] / 2**20, counted, stages=spent)

    def _entries(self, size: int) -> list[dict[str, Any]]:
        return [{"host": f"db{n % self._hosts}.example.com", "name": f"name{n}"} for n in range(size)]

    def _empty(self) -> Project:
        return self._sandbox.project(latency_ms=LATENCY_MS)

    def _registered(self, size: int) -> Project:
        """The project that holds this many registrations; made without latency where it is not there yet."""
        if size not in self._filled:
            project = self._sandbox.project()
            with _session() as session:
                for entry in self._entries(size):
                    body = {**entry, "port": 5432, "username": LOGIN["username"], "password": PASSWORD}
                    session.post(project.url + project.path, json=body, timeout=30).raise_for_status()
            project.settings(latency_ms=LATENCY_MS)
            self._filled[size] = project
        return self._filled[size]

    def _one_host(self, size: int) -> Path:
        """An inventory of one host, whose group's variables name all the databases."""
        return self._inventory(f"list{size}", ["db0.example.com"], {"pgbeam_databases": self._entries(size)})

    def _inventory(self, name: str, hosts: list[str], variables: dict[str, Any]) -> Path:
        """An inventory laid out as the README has it: Ansible takes longer to read variables in the hosts' own file."""
        self._write(f"{name}/hosts.yml", {"postgres": {"hosts": {host: {} for host in hosts}}})
        self._write(f"{name}/group_vars/postgres.yml", {"pgbeam_database_defaults": LOGIN, **variables})
        return self._home / name

    def _wanted(self, size: int) -> Path:
        """The databases as the rivals read them."""
        databases = [{**entry, "port": 5432, "username": LOGIN["username"]} for entry in self._entries(size)]
        return self._write(f"wanted{size}.json", {"databases": databases})

    def _play(self, module: str, options: dict[str, Any], **keywords: Any) -> str:
        task = {"name": "Measure", module: options, **keywords}
        play = [{"name": "Measure", "hosts": "localhost", "gather_facts": False, "tasks": [task]}]
        return str(self._write("play.yml", play))

    def _write(self, name: str, content: Any) -> Path:
        path = self._home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content, sort_keys=False))
        return path


def _lists(size: int) -> dict[str, list[dict[str, Any]]]:
    """The role's variables with this many query templates, and as many schema annotations."""
    sql = "SELECT id, total FROM orders WHERE total > 100"
    return {
        "pgbeam_query_templates": [{"name": f"orders_{n}", "sql": sql} for n in range(size)],
        "pgbeam_schema_annotations": [{"table_name": f"orders_{n}", "description": "Orders."} for n in range(size)],
    }


def _session() -> requests.Session:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {API_KEY}"
    return session


def _counted(project: Project) -> dict[str, int]:
    """The requests that the project got, by method. Raises where one was not answered well: it would be another run."""
    record = project.record()
    bad = [entry["status"] for entry in record if entry["status"] not in (200, 201, 204)]
    if bad:
        raise RuntimeError(f"requests were answered with {bad[:5]}")
    return dict(Counter(entry["method"] for entry in record))
