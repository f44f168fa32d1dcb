# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a real PostgreSQL, the sandbox, the playbook that registers the example inventory, and an AI agent."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Sandbox, ansible_env, is_write
from tests.postgres import postgres
from tests.tree import ROOT

PROJECT = "prj_demo"
REGISTER = "playbooks/register_databases.yml"
USERS = {"orders": "orders_app", "invoices": "invoices_app"}


def main() -> int:
    """Run the demo. Returns the exit status, 0 if everything expected was seen."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory(prefix="pgbeam-demo-") as folder,
        Sandbox.start(PROJECT) as sandbox,
        postgres() as server,
    ):
        passwords = {name: secrets.token_urlsafe(16) for name in USERS}
        for name, user in USERS.items():
            server.create_database(name, user, passwords[name])
        inventory = Path(folder) / "inventory"
        shutil.copytree(ROOT / "examples" / "inventory", inventory)
        environment = ansible_env(
            sandbox.url,
            Path(folder),
            DEMO_POSTGRES_PORT=str(server.port),
            **{f"{name.upper()}_PASSWORD": password for name, password in passwords.items()},
        )
        return _runs(inventory, environment, sandbox)


@dataclass
class Run:
    """The reported results of one run of the playbook, and the requests that the sandbox received."""

    changed: int
    #: The number of databases by action.
    actions: dict[str, int]
    seconds: float
    reads: int
    writes: int
    tests: int


def _runs(inventory: Path, environment: dict[str, str], sandbox: Sandbox) -> int:
    _say("1 of 5: --check --diff shows the two databases that would be registered, and writes nothing.")
    foreseen = _play(inventory, environment, sandbox, "--check", "--diff")

    _say("2 of 5: the registration; PgBeam connects to each database, and tells latency and server version.")
    first = _play(inventory, environment, sandbox)

    _say("3 of 5: the same again; nothing has to change (changed=0).")
    again = _play(inventory, environment, sandbox)

    variables = inventory / "group_vars" / "postgres.yml"
    variables.write_text(variables.read_text().replace("ttl_seconds: 300", "ttl_seconds: 600"))
    _say("4 of 5: after one edit of the inventory, ttl_seconds of orders from 300 to 600; that field alone changes.")
    edited = _play(inventory, environment, sandbox, "--diff")

    _say("What the four runs did, and the requests that they took:")
    runs = {"dry run: would do": foreseen, "registration": first, "the same again": again, "one field edited": edited}
    _show(runs)

    _say("Registered. Clients connect with these, and the password in the place of YOUR_PASSWORD:")
    for database in sandbox.project_of(PROJECT).databases():
        print(f"  {database['connection_string']}")
    seen = [(run.changed, run.writes) for run in runs.values()]
    # Three writes for two databases: one has part of cache_config, which only an update can set.
    if seen != [(1, 0), (1, 3), (0, 0), (1, 1)]:
        print("The demo did not go as announced.", file=sys.stderr)
        return 1
    return _agent(inventory, environment, sandbox)


def _agent(inventory: Path, environment: dict[str, str], sandbox: Sandbox) -> int:
    """Show a policy and an agent, but not what the agent then sees: the sandbox has no proxy."""
    _say("5 of 5: a policy for AI agents, tested with four statements before it is applied, and an agent with it.")
    secrets_file = inventory.parent / "reporting-bot.json"
    environment = {**environment, "DEMO_SECRETS_FILE": str(secrets_file)}
    agent = _play(inventory, environment, sandbox, playbook="examples/ai_agent.yml")
    kept = json.loads(secrets_file.read_text())
    print(f"The agent's secrets are in a file that only its owner can read: {', '.join(kept)}")
    if (agent.changed, agent.writes, agent.tests, secrets_file.stat().st_mode & 0o077) != (2, 2, 4, 0):
        print("The agent was not created as announced.", file=sys.stderr)
        return 1
    return 0


def _show(runs: dict[str, Run]) -> None:
    actions, requests = ("created", "updated", "unchanged"), ("reads", "writes", "tests")
    row = "  {:<20}" + " {:>9}" * 7
    print(row.format("", *actions, "seconds", *requests))
    for number, (name, run) in enumerate(runs.items(), 1):
        done = [run.actions.get(action, 0) for action in actions]
        print(row.format(f"{number} {name}", *done, f"{run.seconds:.1f}", run.reads, run.writes, run.tests))


def _say(text: str) -> None:
    print(f"\n##### {text}", flush=True)


def _play(
    inventory: Path, environment: dict[str, str], sandbox: Sandbox, *options: str, playbook: str = REGISTER
) -> Run:
    """Run a playbook and print its output."""
    command = ["ansible-playbook", "-i", str(inventory), playbook, *options]
    print(f"$ {' '.join(command).replace(str(inventory), 'inventory')}", flush=True)
    began = time.monotonic()
    with sandbox.recorded() as exchanges:
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            output = ""
            for line in process.stdout:
                print(line, end="", flush=True)
                output += line
        seconds = time.monotonic() - began
    if process.returncode:
        sys.exit(f"ansible-playbook ended with {process.returncode}")
    reported = re.search(rf'"{PROJECT}: (.+)"', output)
    tests = sum(item["path"].endswith(("/test-connection", "/policy-evaluations")) for item in exchanges)
    return Run(
        changed=sum(int(count) for count in re.findall(r"\bchanged=(\d+)", output)),
        actions={action: int(count) for count, action in re.findall(r"(\d+) (\w+)", reported[1] if reported else "")},
        seconds=seconds,
        reads=sum(item["method"] == "GET" for item in exchanges),
        writes=sum(is_write(item) and not item["path"].endswith("/test-connection") for item in exchanges),
        tests=tests,
    )


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
