# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark: what whole commands cost, the collection's and those of its rivals, in one run on one machine.

Everything is a command that a user would type, run against the sandbox, which waits before it carries out each request.
``lab`` runs the commands, ``series`` repeats them, ``stages`` takes some apart with ``probe`` and ``callbacks``.
``goals`` judges the numbers. ``report`` and ``plot`` show them, with ``notes.md``, which says what was tried.
"""
