# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Core's callback plugin minimal in addition to the stdout callback, so that one run prints both."""

from __future__ import annotations

from ansible.plugins.callback.minimal import CallbackModule as Original

DOCUMENTATION = """
name: also_minimal
type: aggregate
short_description: Print what core's plugin minimal prints
description: For the tests.
extends_documentation_fragment: [result_format_callback]
"""


class CallbackModule(Original):
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "also_minimal"
    CALLBACK_NEEDS_ENABLED = True
