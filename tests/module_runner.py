# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the ``main`` of a module with options as Ansible passes them, without ansible-playbook.

A run costs milliseconds instead of a second, so that thousands of them can be judged. Every part of the module runs as
it would under ansible-playbook: the options go through the argument spec, the result comes as JSON on standard output.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from ansible.module_utils import basic

from tests.tree import link_tree

PLACE = "ansible_collections.pgbeam.cloud.plugins.modules"


class Crash(AssertionError):
    """A module that ended without a result."""


def run_module(name: str, options: dict[str, Any], folder: Path, check: bool = False) -> dict[str, Any]:
    """Run a module and return its result. Raises Crash if it returned none.

    ``folder`` is for its temporary files. Only for processes with one thread, since this one is forked.
    """
    if str(link_tree()) not in sys.path:
        sys.path.insert(0, str(link_tree()))
    module = importlib.import_module(f"{PLACE}.{name}")
    with tempfile.TemporaryFile(dir=folder) as output:
        child = os.fork()
        if child == 0:
            _run_child(
                module.main, {**options, "_ansible_remote_tmp": str(folder), "_ansible_check_mode": check}, output
            )
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        text = output.read().decode(errors="replace")
    with contextlib.suppress(ValueError, IndexError):
        result = json.loads(text.strip().splitlines()[-1])
        if isinstance(result, dict) and status == int(result.get("failed", False)) and "Traceback" not in text:
            return result
    raise Crash(f"{name} ended with {status}: {text}")


def _run_child(main: Any, options: dict[str, Any], output: Any) -> None:
    """Run the module in the child process. Never returns."""
    status = 70
    try:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        # ansible.module_utils.testing does this; ansible-core before 2.19 does not have it.
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
        basic._ANSIBLE_PROFILE = "legacy"
        # Another test may have imported code of the controller, where core behaves differently since 2.19.
        with contextlib.suppress(ImportError):
            internal: Any = importlib.import_module("ansible.module_utils._internal")
            internal.is_controller, internal.import_controller_module = False, lambda _name: None
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
