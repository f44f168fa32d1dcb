# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible commands of which every byte that they leave behind is searched for secrets."""

from __future__ import annotations

import json
import shlex
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from generate.modules import modules
from tests.integration.conftest import Ansible, Run
from tests.secrecy import Search, invent

KEY = f"pbu_{invent(28, 0)}"
#: By the name of the variable of the environment that a play looks it up in.
PASSWORDS = {
    "PLAIN": invent(20, 1),
    "ODD": f"{invent(12, 2)} '\"\\  %&<{invent(9, 3)}\n\t{{{{ 7 * 7 }}}}#$HOME é😀e\u0301{invent(12, 4)}",
    "LONG": invent(10_000, 5),
    "MISSPELLED": f"{invent(12, 6)}'{invent(12, 7)}",
    "VAULTED": f"{invent(12, 8)}\"'{invent(12, 9)}",
    "VAULT_KEY": invent(24, 10),
}
#: Core's plugins for the screen, which else would need a run each.
BESIDE = "also_minimal,also_oneline,also_yaml"
#: In the place of the system's log, which a test cannot read: what core writes to syslog, and to systemd's journal.
SYSLOG = """
def __getattr__(name): return 8
def openlog(*args): pass
def syslog(priority, message): open({log!r}, "a").write(message + "\\n")
"""
JOURNAL = """
def sendv(*args): pass
def send(**fields): open({log!r}, "a").write(repr(fields) + str(fields) + "\\n")
"""


def look_up(name: str) -> str:
    """How plays take a secret: a literal in a play stands in the source lines that core quotes near an error."""
    return f"{{{{ lookup('ansible.builtin.env', '{name}') }}}}"


@dataclass
class Watched(Ansible):
    """Runs Ansible commands in a home of their own that holds nothing else, and searches all that they leave there."""

    secrets: list[str] = field(default_factory=lambda: [KEY, *PASSWORDS.values()])
    extra: dict[str, str] = field(default_factory=dict)
    #: What the sandbox prints.
    printed: Path | None = None
    #: Where a run has its temporary files.
    temporary: Path = Path()

    @property
    def inputs(self) -> Path:
        return self.home.parent / "inputs"

    @property
    def issued(self) -> Path:
        """Where tasks keep the secrets that the API shows once, which are searched for as well."""
        folder = self.home.parent / "issued"
        folder.mkdir(exist_ok=True)
        return folder

    def runner(self, playbook: str, *words: str) -> Run:
        """Run a playbook as a job platform does, with a file for each event. Ends the command line with the words."""
        folder = self.home / "runner"
        folder.mkdir(parents=True)
        command = [
            "ansible-runner",
            "run",
            str(folder),
            "-p",
            playbook,
            "--ident",
            "job",
            f"--cmdline={shlex.join(words)}",
        ]
        return self._run(command, "--check" in words, {})

    def stand_in(self, journal: bool) -> str:
        """Write modules that take what core logs, into a file of the home, and return their place for PYTHONPATH."""
        log = str(self.home / "system.log")
        if journal:
            self.write("log/systemd/__init__.py", "")
            self.write("log/systemd/daemon.py", "def booted(): return True\n")
            self.write("log/systemd/journal.py", JOURNAL.format(log=log))
        self.write("log/syslog.py", SYSLOG.format(log=log))
        return str(self.inputs / "log")

    def _run(self, command: list[str], check: bool, env: dict[str, str]) -> Run:
        self.home.mkdir(parents=True, exist_ok=True)
        # Not below home: core has a socket there, whose path may not be long.
        with tempfile.TemporaryDirectory(prefix="watched-") as temporary:
            self.temporary = Path(temporary)
            return self._run_here(command, check, env)

    def _run_here(self, command: list[str], check: bool, env: dict[str, str]) -> Run:
        environment = {
            "PGBEAM_API_KEY": KEY,
            **PASSWORDS,
            "TMPDIR": str(self.temporary),
            "ANSIBLE_LOG_PATH": str(self.home / "ansible.log"),
            "ANSIBLE_CALLBACKS_ENABLED": f"results,{BESIDE},ansible.builtin.junit,ansible.builtin.tree",
            "JUNIT_OUTPUT_DIR": str(self.home / "junit"),
            "ANSIBLE_CALLBACK_TREE_DIR": str(self.home / "tree"),
        }
        return super()._run(command, check, {**environment, **self.extra, **env})

    def hold_to_secrecy(self, run: Run, text: str, command: list[str]) -> None:
        found = self.left(run)
        assert not found, "\n".join([f"{command} shows secrets:", *found])

    def left(self, run: Run) -> list[str]:
        """Each secret that is found in what the run left behind."""
        names = {name for module in modules().values() for name in module.resource.issued}
        files = [json.loads(path.read_text()) for path in self.issued.iterdir()]
        search = Search([*self.secrets, *(held[name] for held in files for name in names & held.keys())])
        # It holds the environment as it is, secrets among them: that is ansible-runner's way.
        exempt = [self.home / "runner" / "artifacts" / "job" / "command"]
        hits = search.found_below(self.home, exempt) + search.found_below(self.temporary)
        record = json.dumps(run.exchanges, ensure_ascii=False)
        printed = self.printed.read_text() if self.printed else ""
        for name, text in (("output", run.output), ("record", record), ("sandbox", printed)):
            hits += [f"{name}: {hit}" for hit in search.found(text.encode(errors="surrogateescape"))]
        return hits
