"""Threads of a process that computes soon sleep while they wait, unless the user says how they wait."""

from __future__ import annotations

import socket

import pytest
from visioncraft.engines.openmp import with_patient_threads
from visioncraft.workers.launch import launch


@pytest.mark.parametrize(
    ("set_by_the_user", "spins", "blocks"),
    [
        ({}, "10000", "1"),
        ({"GOMP_SPINCOUNT": "7"}, "7", "1"),
        ({"KMP_BLOCKTIME": "infinite"}, "10000", "infinite"),
        ({"OMP_WAIT_POLICY": "active"}, None, None),
        ({"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "7"}, "7", None),
    ],
)
def test_what_the_user_set_stays(set_by_the_user: dict[str, str], spins: str | None, blocks: str | None) -> None:
    environment = with_patient_threads({"PATH": "/bin", **set_by_the_user})
    assert environment.items() >= {"PATH": "/bin", **set_by_the_user}.items()
    assert (environment.get("GOMP_SPINCOUNT"), environment.get("KMP_BLOCKTIME")) == (spins, blocks)


def test_a_worker_is_born_with_patient_threads_before_anything_is_imported() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        environment = launch(None, theirs, {"PATH": "/bin"}).options["env"]
    assert environment == {"PATH": "/bin", "GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
