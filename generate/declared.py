# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection's code declares: the resources, the argument specs, the role's variables, the parts of an error.

Nothing else of the generator imports the collection.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from ansible_collections.pgbeam.cloud.plugins.module_utils._ansible import argument_spec
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.client import LIMITS
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import ApiError, Call
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.responses import RETRY_STATUSES
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._gather import VARIABLES
from ansible_collections.pgbeam.cloud.plugins.plugin_utils._kinds import KINDS as KINDS_OF_ROLE

__all__ = ["LIMITS", "RETRY_STATUSES", "VARIABLES", "Field", "Resource"]

Values = dict[str, Any]
#: What the modules import: their bodies, by form, and the package of the resources.
_BODIES = "ansible_collections.pgbeam.cloud.plugins.module_utils._ansible"
BODIES = {
    **dict.fromkeys(("item", "list", "info"), f"{_BODIES}.main"),
    **dict.fromkeys(("evaluation", "replay"), f"{_BODIES}.computed"),
}
RESOURCES = "ansible_collections.pgbeam.cloud.plugins.module_utils._resources"
CONNECTION: Values = argument_spec.CONNECTION
#: The variables of the role that hold the lists of these kinds.
KINDS = [kind.plural for kind in KINDS_OF_ROLE]
MAX_ACTION_TIMEOUT: int = argument_spec.MAX_ACTION_TIMEOUT
MAX_PARALLEL: int = argument_spec.MAX_PARALLEL
ERROR_PARTS = tuple(ApiError(Call("GET", "/", ""), "", "").as_dict())
SPECS = {
    "item": argument_spec.item_spec,
    "list": argument_spec.list_spec,
    "info": argument_spec.info_spec,
    "evaluation": argument_spec.evaluation_spec,
    "replay": argument_spec.replay_spec,
}


def resources() -> list[str]:
    """The names of the resources, each with a file of its own."""
    return sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(RESOURCES).__path__))


def resource(name: str) -> Resource:
    """The resource that the file of this name declares."""
    declared: Resource = getattr(importlib.import_module(f"{RESOURCES}.{name}"), name.upper())
    return declared
