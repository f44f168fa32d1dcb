# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Core's callback plugin oneline in addition to the stdout callback, so that one run prints both."""

from __future__ import annotations

from ansible.plugins.callback.oneline import CallbackModule as Original

DOCUMENTATION = """
name: also_oneline
type: aggregate
short_description: Print what core's plugin oneline prints
description: For the tests.
"""


class CallbackModule(Original):
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "also_oneline"
    CALLBACK_NEEDS_ENABLED = True
