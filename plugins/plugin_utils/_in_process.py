# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module inside Ansible's worker process if it would run on the controller anyway.

Loop items then start no process, and connections to the API stay open between them.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import locale
import os
import sys
import typing as t
import warnings

from ansible import constants
from ansible.errors import AnsibleError
from ansible.module_utils import basic
from ansible.module_utils.common import warnings as core_warnings
from ansible.utils.display import Display
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible import main, module
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.client import REQUESTS_IMPORT_ERROR
from ansible_collections.pgbeam.cloud.plugins.plugin_utils import _values

try:
    from ansible.module_utils import _internal as core_internal
    from ansible.module_utils.common.json import Direction, get_module_encoder
except ImportError:  # ansible-core before 2.19
    from ansible.module_utils.common.json import AnsibleJSONEncoder

    core_internal = None
    #: The format of arguments and results as JSON; these cores have only one.
    PROFILE: tuple[str, ...] = ()

    def _serialized(arguments: Values) -> str:
        return json.dumps(arguments, cls=AnsibleJSONEncoder, vault_to_text=True)

else:
    PROFILE = ("legacy",)

    def _serialized(arguments: Values) -> str:
        return json.dumps(arguments, cls=get_module_encoder(PROFILE[0], Direction.CONTROLLER_TO_MODULE))


Values = dict[str, t.Any]
#: The prefixes of environment variables that are only read when a process starts.
AT_START = ("PYTHON", "LD_", "OPENSSL_")
#: The variables in which core collects the warnings of a module.
WARNINGS = ("_global_warnings", "_global_deprecations")
#: Loaded once, before Ansible forks its workers, and not by the first item of each task.
BODY = main


def environment(action: t.Any) -> dict[str, str]:
    """Return the variables that the task's ``environment`` adds for its module."""
    added: Values = {}
    action._compute_environment_string(added)
    return {name: str(value) for name, value in added.items()}


def suits(action: t.Any, task_vars: Values) -> bool:
    """Whether the module would run on the controller, with this Python and as this user."""
    return (
        action._connection.transport == "local"
        and not action._connection.become
        and not action._task.async_val
        and _is_own_interpreter(action, task_vars)
        and REQUESTS_IMPORT_ERROR is None
        and sys.platform != "darwin"  # where a forked process must not look up proxies
    )


def takes_effect(added: dict[str, str]) -> bool:
    """Whether the added environment variables take effect without starting a process."""
    return not any(name.startswith(AT_START) for name in added)


def _is_own_interpreter(action: t.Any, task_vars: Values) -> bool:
    """Whether the task would run with this Python."""
    host = action._task.delegate_to
    variables = task_vars["ansible_delegated_vars"][host] if host else task_vars
    try:
        value = constants.config.get_config_value("INTERPRETER_PYTHON", variables=variables)
        wanted = str(action._templar.template(value)).strip()
    except AnsibleError:  # which core reports when it runs the module
        return False
    if wanted.startswith("auto"):
        return True
    # Not the target of links: a virtual environment's Python is a link to one that lacks the environment's libraries.
    same_folder = os.path.dirname(wanted) == os.path.dirname(sys.executable)
    return same_folder and os.path.realpath(wanted) == os.path.realpath(sys.executable)


def run(action: t.Any, name: str, arguments: Values, task_vars: Values, added: dict[str, str]) -> Values:
    """Run a module with these environment variables added. Returns and raises the same as core."""
    action._update_module_args(name, arguments, task_vars)
    loaded = importlib.import_module(f"ansible_collections.pgbeam.cloud.plugins.modules.{name.rpartition('.')[2]}")
    printed = io.StringIO()
    status: t.Any = None
    bug = ""
    with _as_a_process(added, arguments, printed):
        try:
            loaded.main()
        except SystemExit as end:
            status = end.code
        except Exception as error:  # core would show its traceback, which may quote a secret
            bug = _values.unexpected(error)
    if bug:
        return {"failed": True, "changed": False, "msg": bug}
    answer = {"rc": status or 0, "stdout": printed.getvalue(), "stderr": ""}
    result = action._parse_returned_data(answer, *PROFILE)
    if not isinstance(result, dict):  # ansible-core 2.21 and newer return an object
        return t.cast(Values, result.as_result_dict(for_round_trip=True))
    return t.cast(Values, wrap_var(result))  # so that no text in it is evaluated as a template


@contextlib.contextmanager
def _as_a_process(added: dict[str, str], arguments: Values, printed: t.TextIO) -> t.Iterator[None]:
    """Give a module its own global state inside the block, as if it ran in its own process."""
    given = _serialized({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    process = [
        (basic, {"_ANSIBLE_ARGS": given, "_ANSIBLE_PROFILE": "".join(PROFILE), "_PARSED_MODULE_ARGS": {}}),
        (core_warnings, {name: type(getattr(core_warnings, name))() for name in WARNINGS}),
        # If true, core would show warnings at once instead of returning them.
        (core_internal, {"is_controller": False}),
        (module, {"SHOW": Display().display}),
    ]  # fmt: skip
    frozen = gc.get_freeze_count()
    with contextlib.ExitStack() as stack:
        for owner, values in process:
            stack.enter_context(_replaced(owner, values))
        stack.enter_context(_environment(added))
        stack.enter_context(warnings.catch_warnings())
        stack.callback(locale.setlocale, locale.LC_ALL, locale.setlocale(locale.LC_ALL))
        if not frozen:
            stack.callback(gc.unfreeze)
        stack.enter_context(contextlib.redirect_stdout(printed))
        yield


@contextlib.contextmanager
def _replaced(owner: t.Any, values: Values) -> t.Iterator[None]:
    """Replace these attributes of a module inside the block, as far as it has them."""
    before = {name: getattr(owner, name) for name in values if hasattr(owner, name)}
    for name in before:
        setattr(owner, name, values[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


@contextlib.contextmanager
def _environment(added: dict[str, str]) -> t.Iterator[None]:
    """Add these environment variables inside the block."""
    before = dict(os.environ)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
