# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of the SDK for strict validation by pydantic, with ranges that the SDK lacks."""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typing_extensions
from pydantic import ConfigDict


def typed_dict(name: str, members: dict[str, Any], config: ConfigDict) -> Any:
    make: Any = typing_extensions.TypedDict  # type checkers require literal members of a TypedDict
    made = make(name, members)
    made.__pydantic_config__ = config
    return made


def strict(
    hint: Any, extra: Literal["forbid", "ignore"], limits: Mapping[str, Any] | None = None, place: str = ""
) -> Any:
    """Return the type for strict validation: no number for a text; other keys are forbidden or ignored.

    ``limits`` contains further constraints, such as pydantic's ``Field(ge=0)``, by the path of the value: field names
    with dots between them, and ``*`` for the entries of a list.
    """
    limits = limits or {}
    typed = _members(hint, extra, limits, place)
    annotated: Any = Annotated  # type checkers require literal arguments
    return annotated[typed, limits[place]] if place in limits else typed


def _members(hint: Any, extra: Literal["forbid", "ignore"], limits: Mapping[str, Any], place: str) -> Any:
    """Rebuild a type. TypedDicts have no configuration, and pydantic accepts those of typing from Python 3.12 on."""
    if typing_extensions.is_typeddict(hint):
        members = {
            name: strict(inner, extra, limits, f"{place}.{name}".lstrip(".")) for name, inner in hints(hint).items()
        }
        return typed_dict(hint.__name__, members, ConfigDict(extra=extra, strict=True))
    origin = get_origin(hint)
    if origin is None or origin is Literal:
        return hint
    if origin is list:
        return list[strict(get_args(hint)[0], extra, limits, f"{place}.*")]  # type: ignore[misc]  # made at run time
    arguments = tuple(_members(inner, extra, limits, place) for inner in get_args(hint))
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, arguments)
    return origin[arguments[0] if len(arguments) == 1 else arguments]


def hints(model: Any) -> dict[str, Any]:
    """Return the types of a TypedDict's fields, by name."""
    return get_type_hints(model, include_extras=True)


def optional(model: Any) -> frozenset[str]:
    """Return the optional fields of a TypedDict."""
    return frozenset(name for name, hint in hints(model).items() if get_origin(hint) is typing_extensions.NotRequired)
