# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start Ansible commands in a process that has already imported Python's and other libraries.

That is a third of what a short playbook costs. Each command is a fork of its own with its own environment, working
directory and output, and runs the command's own ``main``. Nothing that reads Ansible's configuration is imported
before the fork, nor anything of the collection.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

LIBRARIES = (
    "ansible.module_utils.basic",
    "cryptography.hazmat.backends.openssl.backend",
    "cryptography.hazmat.primitives.ciphers",
    "cryptography.hazmat.primitives.kdf.pbkdf2",
    "cryptography.hazmat.primitives.padding",
    "jinja2.nativetypes",
    "jinja2.sandbox",
    "multiprocessing.queues",
    "packaging.version",
    "requests",
    "yaml",
)
#: The module whose ``main`` is the command.
COMMANDS = {
    "ansible": "ansible.cli.adhoc",
    "ansible-playbook": "ansible.cli.playbook",
    "ansible-vault": "ansible.cli.vault",
}
#: The prefixes of variables that Python reads when it starts.
READ_AT_START = ("PYTHON", "LANG", "LC_", "LD_")
SIZE = 1 << 20


class Preloaded:
    """The process that is forked. It ends with its parent process."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._start = _read_at_start(env)
        self._socket, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SIZE)
        with far:
            command = [sys.executable, __file__, str(far.fileno())]
            self._process = subprocess.Popen(command, env=self._start, cwd="/", pass_fds=[far.fileno()])

    def suits(self, command: list[str], env: Mapping[str, str]) -> bool:
        """Whether Python would start in the same way with the environment of this command."""
        return command[0] in COMMANDS and _read_at_start(env) == self._start

    def run(self, command: list[str], cwd: Path, env: Mapping[str, str], timeout: float) -> tuple[int, str]:
        """Run a command. Returns its exit status, and its output with the errors after it.

        Raises subprocess.TimeoutExpired after that many seconds.
        """
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            status, far = os.pipe()
            with open(status, "rb") as reported:
                message = json.dumps([command, str(cwd), dict(env)]).encode()
                files = [0, output.fileno(), errors.fileno(), far]
                socket.send_fds(self._socket, [message], files)
                os.close(far)
                pid = int(reported.readline())
                if not select.select([reported], [], [], timeout)[0]:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(command, timeout)
                code = int(reported.read())
            texts = []
            for file in (output, errors):
                file.seek(0)
                texts.append(file.read().decode())
        return code, "".join(texts)


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(READ_AT_START)}


def _serve(requests: socket.socket) -> list[str]:
    """Fork for each request. Returns only in the forked process, with the command to run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that report
    while True:
        message, files, *_rest = socket.recv_fds(requests, SIZE, 4)
        if not message:
            sys.exit()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            report = files.pop()
            command = os.fork()
            if command == 0:
                os.close(report)
                words, folder, env = json.loads(message)
                for number, file in enumerate(files):
                    os.dup2(file, number)
                    os.close(file)
                os.chdir(folder)
                os.environ.clear()
                os.environ.update(env)
                return list(words)
            os.write(report, b"%d\n" % command)
            os.write(report, b"%d" % os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]))
            os._exit(0)
        for file in files:
            os.close(file)


def _main() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    assert "ansible.constants" not in sys.modules, "a library reads Ansible's configuration"
    gc.freeze()
    name, *words = _serve(socket.socket(fileno=int(sys.argv[1])))
    folder = Path(sys.executable).parent
    sys.path[0] = str(folder)
    sys.argv = [str(folder / name), *words]
    sys.exit(importlib.import_module(COMMANDS[name]).main())


if __name__ == "__main__":
    _main()
