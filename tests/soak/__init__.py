# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded random scenarios of faults, over every module that writes.

Each scenario is some objects of one resource, options that declare them differently, and faults, among them another
client that writes between the module's reads and its writes. Scenarios run in batches: ansible-playbook runs one looped
task for each module, whose items are the scenarios, each with its own API key, URL and password. After that run the
server's state is compared with what each item reported; then the faults end, and the loops run twice more. What the
other client wrote must still exist unless the item declares the same field, and each scenario's requests must carry its
own key.

``scenarios`` makes them, ``trial`` lays one out and judges its rounds by ``judgement``, ``runs`` runs the loops.
``kills`` is about runs that are killed. Run it: ``python -m tests.soak --scenarios 2000 --seed 1``.
"""
