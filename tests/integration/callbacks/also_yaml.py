# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Core's callback plugin default once more, with YAML, so that one run shows what both print."""

from __future__ import annotations

from typing import Any

from ansible.plugins.callback.default import CallbackModule as Original

DOCUMENTATION = """
name: also_yaml
type: aggregate
short_description: Print what core's plugin default prints, as YAML
description: For the tests.
extends_documentation_fragment: [default_callback, result_format_callback]
"""


class CallbackModule(Original):
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "also_yaml"
    CALLBACK_NEEDS_ENABLED = True

    def set_options(self, *args: Any, **kwargs: Any) -> None:
        super().set_options(*args, **kwargs)
        self.set_option("result_format", "yaml")
