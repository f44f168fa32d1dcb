# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attributes that all modules share; each module says what it supports of the rest. Private to this collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  action:
    description: Has an action plugin, which runs on the controller.
    support: full
    details:
      - On the controller, without C(become), C(async) and another C(ansible_python_interpreter), the module runs inside
        Ansible's own process. Then a loop starts no process and keeps its connection to the API.
      - Everywhere else it is handed over as any module is. Options and results are the same.
  action_group:
    description: Use C(group/pgbeam.cloud.all) in C(module_defaults) to set the connection options once.
    support: full
    membership:
      - pgbeam.cloud.all
  check_mode:
    description: Can run in C(check_mode) and return what it would change without changing it.
  diff_mode:
    description: Returns what has changed, or in check mode what would change, in C(diff) mode.
  idempotent:
    description: A second run with the same options changes nothing.
  platform:
    description: The platforms that the module runs on.
    support: full
    platforms: posix
"""
