# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells how long the stages of a module's process take. Python imports a file of this name when it starts.

At any moment the time belongs to one stage, so that the stages add up to the process: to the package whose import is
under way, to the watched function that runs, or else to what lies between. Only the main thread is looked at. There are
no more imports here than needed, as each would be missing where the module makes it.
"""

from __future__ import annotations

import _thread
import atexit
import builtins
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

UTILS = "ansible_collections.pgbeam.cloud.plugins.module_utils."
PACKAGES = {"ansible": "core", "requests": "requests", "ansible_collections": "collection"}
#: A class's module, the class, its method, the stage of a call, and the stage that begins when it returns.
WATCHED = [
    ("ansible.module_utils.basic", "AnsibleModule", "__init__", "options", "work"),
    ("ansible.module_utils.basic", "AnsibleModule", "exit_json", "end", "end"),
    (UTILS + "_client", "Client", "list", "listing", None),
    (UTILS + "_client", "Client", "get", "listing", None),
    (UTILS + "_masking", "Masking", "__init__", "masking", None),
    (UTILS + "_masking", "Masking", "mask", "masking", None),
    (UTILS + "_session", "Session", "carry_out", "writing", None),
]

_began = _since = time.monotonic()
_stage = "start"
_spent: dict[str, float] = {}
_thread_watched = _thread.get_ident()
_import_really = builtins.__import__


def _enter(stage: str) -> str:
    """Begin a stage; the one that ends is returned."""
    global _since, _stage
    ended, now = _stage, time.monotonic()
    _spent[ended] = _spent.get(ended, 0.0) + now - _since
    _stage, _since = stage, now
    return ended


def _import(name: str, *words: Any, **more: Any) -> Any:
    stage = PACKAGES.get(name.partition(".")[0])
    if stage in (None, _stage) or _thread.get_ident() != _thread_watched:
        return _import_really(name, *words, **more)
    before = _enter(stage)
    try:
        return _import_really(name, *words, **more)
    finally:
        _watch()
        _enter(before)


def _watch() -> None:
    """Watch the functions of the modules that are there by now."""
    for entry in WATCHED[:]:
        module, owner, method, stage, then = entry
        found = getattr(sys.modules.get(module), owner, None)
        if found is not None:
            WATCHED.remove(entry)
            setattr(found, method, _watched(getattr(found, method), stage, then))


def _watched(method: Callable[..., Any], stage: str, then: str | None) -> Callable[..., Any]:
    def call(*words: Any, **options: Any) -> Any:
        if _thread.get_ident() != _thread_watched:
            return method(*words, **options)
        before = _enter(stage)
        try:
            return method(*words, **options)
        finally:
            _enter(then or before)

    return call


def _tell() -> None:
    if "options" in _spent:  # else it is no module
        _enter("")
        import json

        event = {"event": "module", "at": _began, "until": _since, "stages": _spent}
        with open(os.environ["BENCH_PROBE"], "a") as file:
            file.write(json.dumps(event) + "\n")


builtins.__import__ = _import
atexit.register(_tell)
