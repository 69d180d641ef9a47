"""How OpenMP's threads wait for each other in a process that shares the machine with others.

By default a thread that waits for others spins: GNU's OpenMP for about 3 ms, Intel's for 200. Where every core is its
own that is fastest. Where another program has one of the cores, the thread that spins keeps it from the one that is
waited for, at every operation: a picture of 1.5 s took 8 to 22 s beside busy programs on two cores. So they spin for a
moment, which bridges the time between two operations, and then sleep.
"""

from __future__ import annotations

from collections.abc import Mapping

_POLICY = "OMP_WAIT_POLICY"  # of the OpenMP standard
_PATIENT: Mapping[str, str] = {
    "GOMP_SPINCOUNT": "10000",  # GNU's: turns of a loop, a fraction of a millisecond
    "KMP_BLOCKTIME": "1",  # Intel's and LLVM's: milliseconds
}


def with_patient_threads(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that computes, in which OpenMP's threads soon sleep while they wait.

    What the user set stays: each of the two variables, and both where `OMP_WAIT_POLICY` says how threads wait.
    """
    return dict(environment) if _POLICY in environment else {**_PATIENT, **environment}
