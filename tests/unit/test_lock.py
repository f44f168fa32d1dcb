# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that wait for each other by a file."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile import lock
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.lock import POLL, acquire

from tests.unit.scripted import Clock

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(lock, "time", fake)
    return fake


def taken(folder: Path, place: str = "here", seconds: float = 10.0) -> bool:
    """Whether the lock can be taken; it is released at once."""
    with acquire(str(folder), place, seconds) as granted:
        return granted


def test_a_free_lock_is_taken_without_waiting(tmp_path: Path, clock: Clock) -> None:
    assert taken(tmp_path)
    assert clock.waits == []


def test_a_lock_is_held_until_its_block_ends(tmp_path: Path) -> None:
    with acquire(str(tmp_path), "here", 10.0):
        assert not taken(tmp_path)
    assert taken(tmp_path)


def test_a_lock_is_released_if_its_block_raises(tmp_path: Path) -> None:
    with pytest.raises(KeyError), acquire(str(tmp_path), "here", 10.0):
        raise KeyError
    assert taken(tmp_path)


def test_waiting_ends_after_the_given_time(tmp_path: Path, clock: Clock) -> None:
    with acquire(str(tmp_path), "here", 10.0):
        assert not taken(tmp_path, seconds=3.0)
    assert clock.now == pytest.approx(3.0, abs=2 * POLL)


def test_waiting_ends_when_the_lock_is_released(tmp_path: Path, clock: Clock) -> None:
    assert taken(tmp_path)
    (name,) = tmp_path.glob("*.lock")
    with name.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        clock.meanwhile = lambda: fcntl.flock(held, fcntl.LOCK_UN)
        assert taken(tmp_path)
    assert clock.waits == [POLL]


@pytest.mark.parametrize("folder, place", [("a", "there"), ("b", "here")], ids=["place", "folder"])
def test_locks_on_another_place_or_in_another_folder_are_independent(tmp_path: Path, folder: str, place: str) -> None:
    with acquire(str(tmp_path / "a"), "here", 10.0):
        assert taken(tmp_path / folder, place)
        assert not taken(tmp_path / "a", "here")


def test_the_folder_and_the_file_are_created_for_this_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "tmp"
    assert taken(folder)
    (file,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    assert "here" not in file.name, "a place may hold characters that no file name can"


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    assert taken(tmp_path)
    (name,) = tmp_path.glob("*.lock")
    name.unlink()
    name.symlink_to(tmp_path / "precious")
    assert taken(tmp_path)
    assert not (tmp_path / "precious").exists()


@pytest.mark.parametrize("error", [OSError("no locks available"), PermissionError()])
def test_a_file_system_without_locks_does_not_stop_a_run(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def fail(file: int, operation: int) -> None:
        raise error

    monkeypatch.setattr(fcntl, "flock", fail)
    assert taken(tmp_path)
    assert clock.waits == []


def test_a_folder_that_cannot_be_created_does_not_stop_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert taken(tmp_path / "file" / "below")
