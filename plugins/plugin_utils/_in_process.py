# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a module inside Ansible's own worker process, where it would run on the controller anyway.

Then an item of a loop starts no process, and connections to the API stay open from item to item.

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
    #: How arguments and results are written as JSON; these cores have one way only.
    PROFILE: tuple[str, ...] = ()

    def _serialized(arguments: Values) -> str:
        return json.dumps(arguments, cls=AnsibleJSONEncoder, vault_to_text=True)

else:
    PROFILE = ("legacy",)

    def _serialized(arguments: Values) -> str:
        return json.dumps(arguments, cls=get_module_encoder(PROFILE[0], Direction.CONTROLLER_TO_MODULE))


Values = dict[str, t.Any]
#: How the names of variables begin that only the start of a process reads.
AT_START = ("PYTHON", "LD_", "OPENSSL_")
#: Where core collects what a module warns of.
WARNINGS = ("_global_warnings", "_global_deprecations")
#: So that it is loaded once, before Ansible forks its workers, and not by the first item of each task.
BODY = main


def environment(action: t.Any) -> dict[str, str]:
    """What the task's ``environment`` adds for its module."""
    added: Values = {}
    action._compute_environment_string(added)
    return {name: str(value) for name, value in added.items()}


def suits(action: t.Any, task_vars: Values) -> bool:
    """Whether a module would run on the controller, by this Python, and as this user, were it handed over."""
    return (
        action._connection.transport == "local"
        and not action._connection.become
        and not action._task.async_val
        and _is_own_interpreter(action, task_vars)
        and REQUESTS_IMPORT_ERROR is None
        and sys.platform != "darwin"  # where a forked process must not look up proxies
    )


def takes_effect(added: dict[str, str]) -> bool:
    """Whether what a task adds to the environment is seen without the start of a process."""
    return not any(name.startswith(AT_START) for name in added)


def _is_own_interpreter(action: t.Any, task_vars: Values) -> bool:
    """Whether nothing asks for another Python than this one."""
    host = action._task.delegate_to
    variables = task_vars["ansible_delegated_vars"][host] if host else task_vars
    try:
        value = constants.config.get_config_value("INTERPRETER_PYTHON", variables=variables)
        wanted = str(action._templar.template(value)).strip()
    except AnsibleError:  # which handing the module over will report
        return False
    if wanted.startswith("auto"):
        return True
    # Not the target of links: a virtual environment's Python is a link to one that lacks the environment's libraries.
    same_folder = os.path.dirname(wanted) == os.path.dirname(sys.executable)
    return same_folder and os.path.realpath(wanted) == os.path.realpath(sys.executable)


def run(action: t.Any, name: str, arguments: Values, task_vars: Values, added: dict[str, str]) -> Values:
    """Run a module with these added to the environment. Returns what core would return for it, and raises the same."""
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
        except Exception as error:  # whose traceback, which core would show, may quote a secret
            bug = _values.unexpected(error)
    if bug:
        return {"failed": True, "changed": False, "msg": bug}
    answer = {"rc": status or 0, "stdout": printed.getvalue(), "stderr": ""}
    result = action._parse_returned_data(answer, *PROFILE)
    if not isinstance(result, dict):  # ansible-core 2.21 and newer have an object for it
        return t.cast(Values, result.as_result_dict(for_round_trip=True))
    return t.cast(Values, wrap_var(result))  # no text in it is a template


@contextlib.contextmanager
def _as_a_process(added: dict[str, str], arguments: Values, printed: t.TextIO) -> t.Iterator[None]:
    """Give a module the globals of a process of its own inside the block, and none of them to what comes after it."""
    given = _serialized({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    process = [
        (basic, {"_ANSIBLE_ARGS": given, "_ANSIBLE_PROFILE": "".join(PROFILE), "_PARSED_MODULE_ARGS": {}}),
        (core_warnings, {name: type(getattr(core_warnings, name))() for name in WARNINGS}),
        # With it, core shows warnings at once instead of returning them with the result.
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
    """Let a module's attributes, as far as it has them, have these values inside the block."""
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
    """Let these be in the environment inside the block."""
    before = dict(os.environ)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
