# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.release import __version__ as release

from tests.harness import API_KEY, Project, Sandbox, ansible_env, handing_over, is_write
from tests.module_runner import run_module
from tests.postgres import Postgres, postgres
from tests.preloaded import Preloaded

CALLBACKS = Path(__file__).parent / "callbacks"
#: The prefix of every password of the tests; no run may show it.
PASSWORD = "pw-Zq7\"x'%/@"
#: Its lookup for plays: core quotes literals of a play in errors.
PASSWORD_LOOKUP = "{{ lookup('ansible.builtin.env', 'DB_PASSWORD') }}"
#: The values of ANSIBLE_JINJA2_NATIVE that make a difference: cores since 2.19 ignore it.
NATIVE = ["false", "true"] if tuple(map(int, release.split(".")[:2])) < (2, 19) else ["false"]


@dataclass
class Run:
    """The output, the results and the requests of one Ansible command."""

    status: int
    output: str
    events: list[dict[str, Any]]
    exchanges: list[dict[str, Any]]

    def results(self, task: str) -> list[dict[str, Any]]:
        """Return the results of every task whose name ends with this, one per item of a loop."""
        found: list[dict[str, Any]] = []
        for event in self.events:
            if event["task"].endswith(task):
                found += event["result"].get("results", [event["result"]])
        return found

    def result(self, task: str) -> dict[str, Any]:
        (only,) = self.results(task)
        return only

    @property
    def requests(self) -> list[tuple[str, str]]:
        return [(entry["method"], entry["path"]) for entry in self.exchanges]

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(entry["method"], entry["path"]) for entry in self.exchanges if is_write(entry)]

    @property
    def changed(self) -> int:
        """The number of tasks, or items of loops, that changed something."""
        return sum(event["result"].get("changed", False) for event in self.events if event["status"] == "ok")


@dataclass
class Ansible:
    """Runs real Ansible commands in their own home, and checks what must be true of every run."""

    url: str
    home: Path
    secrets: list[str] = field(default_factory=lambda: [API_KEY, PASSWORD])
    #: The working directory of commands; None: that of their file.
    preloaded: Preloaded | None = None
    _runs: int = 0

    @property
    def inputs(self) -> Path:
        """The directory of the files that a test writes for a run."""
        return self.home

    def playbook(self, *words: str, check: bool = False, env: dict[str, str] | None = None) -> Run:
        return self._run(["ansible-playbook", *words, *(["--check"] if check else [])], check, env or {})

    def play(self, tasks: list[dict[str, Any]], *words: str, check: bool = False, **keywords: Any) -> Run:
        """Run a play of these tasks, on the implicit localhost unless the keywords set other hosts."""
        path = self.write("play.yml", [{"hosts": "localhost", "gather_facts": False, **keywords, "tasks": tasks}])
        return self.playbook(path, *words, check=check)

    def database(self, project: Project, *words: str, check: bool = False, **options: Any) -> Run:
        """Run one task of the database module; its result is that of the task "database"."""
        task = {"name": "database", "pgbeam.cloud.database": {"project_id": project.id, **options}}
        return self.play([task], "--diff", *words, check=check)

    def databases(self, project: Project, entries: list[dict[str, Any]], check: bool = False, **options: Any) -> Run:
        arguments = {"project_id": project.id, "databases": entries, **options}
        return self.play([{"name": "databases", "pgbeam.cloud.databases": arguments}], "--diff", check=check)

    def adhoc(self, module: str, arguments: str, *words: str, env: dict[str, str] | None = None) -> Run:
        return self.command(["ansible", "localhost", "-m", f"pgbeam.cloud.{module}", "-a", arguments, *words], env)

    def command(self, words: list[str], env: dict[str, str] | None = None) -> Run:
        """Run any Ansible command."""
        return self._run(words, "--check" in words, env or {})

    def write(self, name: str, content: Any) -> str:
        """Write an input file, as YAML, and return its path."""
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return str(path)

    def check_secrecy(self, run: Run, text: str, command: list[str]) -> None:
        """Fail if the output of a run contains a secret."""
        assert not exposes(text, self.secrets), f"a secret stands in the output or in a result of {command}"

    def _run(self, command: list[str], check: bool, env: dict[str, str]) -> Run:
        self._runs += 1
        log = self.home / f"results-{self._runs}.jsonl"
        environment = ansible_env(
            self.url,
            self.home,
            ANSIBLE_CALLBACK_PLUGINS=str(CALLBACKS),
            ANSIBLE_CALLBACKS_ENABLED="results",
            ANSIBLE_LOAD_CALLBACK_PLUGINS="true",
            RESULTS_FILE=str(log),
            DB_PASSWORD=PASSWORD,
        )
        environment |= env
        with Sandbox(self.url).recorded() as exchanges:
            if self.preloaded and self.preloaded.suits(command, environment):
                status, output = self.preloaded.run(command, self.home, environment, timeout=300)
            else:
                done = subprocess.run(
                    command, cwd=self.home, env=environment, capture_output=True, text=True, check=False, timeout=300
                )
                status, output = done.returncode, done.stdout + done.stderr
        text = log.read_text() if log.exists() else ""
        run = Run(status, output, [json.loads(line) for line in text.splitlines()], exchanges)
        self.check_secrecy(run, f"{output}\n{text}", command)
        if "ANSIBLE_DISPLAY_TRACEBACK" not in env:
            # Since core 2.19, the message of a crashed module lacks that word.
            crashed = [str(event["result"].get("msg")) for event in run.events if "module_stdout" in event["result"]]
            assert "Traceback" not in output, output
            assert not crashed, crashed
            assert "MODULE FAILURE" not in text and "Task failed: Module failed" not in text, text
        if check:
            assert not run.writes, "check mode wrote"
        return run


@dataclass
class Modules(Ansible):
    """Runs the tasks of a play by the ``main`` of the modules, without Ansible, to test the modules alone.

    Anything but a play starts a real command.
    """

    def play(self, tasks: list[dict[str, Any]], *words: str, check: bool = False, **keywords: Any) -> Run:
        """Run tasks that have no keywords but ``ignore_errors``, ``check_mode`` and ``no_log``."""
        assert not keywords and not set(words) - {"--diff"}
        events: list[dict[str, Any]] = []
        exchanges: list[dict[str, Any]] = []
        status = 0
        for task in tasks:
            (module,) = task.keys() - {"name", "ignore_errors", "check_mode", "no_log"}
            options = {"_ansible_diff": "--diff" in words, **_looked_up(task[module])}
            options["_ansible_no_log"] = task.get("no_log", False)
            foresees = check or task.get("check_mode", False)
            result, made = run_recorded(self.url, module.rpartition(".")[2], options, self.home, foresees)
            exchanges += made
            failed = result.setdefault("failed", False)
            events.append({"task": task["name"], "status": "failed" if failed else "ok", "result": result})
            if failed and not task.get("ignore_errors"):
                status = 2
                break
        results = [event["result"] for event in events]
        # Since core 2.19, a warning that Ansible has not shown is not a text yet.
        output = "\n".join(str(text) for item in results for text in (item.get("msg", ""), *item.get("warnings", [])))
        run = Run(status, output, events, exchanges)
        self.check_secrecy(run, f"{output}\n{json.dumps(results)}", [task["name"] for task in tasks])
        return run


def run_recorded(
    url: str, module: str, options: dict[str, Any], folder: Path, check: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the ``main`` of a module. Returns its result and the exchanges, which must contain no write in check mode."""
    with Sandbox(url).recorded() as exchanges:
        result = run_module(module, {"api_url": url, "api_key": API_KEY, **options}, folder, check)
    assert not (check and any(map(is_write, exchanges))), "check mode wrote"
    return result, exchanges


def exposes(text: str, secrets: Iterable[str]) -> bool:
    """Whether a text contains one of the secrets, also in the notation of JSON or Python."""
    return any(form in text for secret in secrets for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]))


def _looked_up(value: Any) -> Any:
    """Return the options of a task with the lookup of the password resolved."""
    if isinstance(value, dict):
        return {name: _looked_up(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_looked_up(item) for item in value]
    return PASSWORD if value == PASSWORD_LOOKUP else value


@pytest.fixture(scope="session")
def preloaded() -> Preloaded | None:
    # Modules in their own process need the commands of tests/harness.py.
    return None if handing_over() else Preloaded(ansible_env("", Path("/")))


@pytest.fixture
def ansible(sandbox: Sandbox, tmp_path: Path, preloaded: Preloaded | None) -> Ansible:
    return Ansible(sandbox.url, tmp_path, preloaded=preloaded)


@pytest.fixture
def modules(sandbox: Sandbox, tmp_path: Path) -> Modules:
    return Modules(sandbox.url, tmp_path)


@pytest.fixture
def project(sandbox: Sandbox) -> Project:
    return sandbox.project()


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        running.create_database("orders", "app", PASSWORD)
        yield running
