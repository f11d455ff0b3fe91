"""What is known of a machine by the names that its system has for itself."""

from __future__ import annotations

import os

import pytest

from nix2oci.host.differences import Differences, here


@pytest.mark.parametrize(
    ("system", "machine", "linux"),
    [
        pytest.param("Linux", "x86_64", "x86_64-linux", id="most machines"),
        pytest.param("Linux", "aarch64", "aarch64-linux", id="an ARM machine with Linux"),
        pytest.param("Darwin", "arm64", "aarch64-linux", id="a Mac says arm64"),
        pytest.param("Darwin", "x86_64", "x86_64-linux", id="an older Mac"),
        pytest.param("FreeBSD", "amd64", "x86_64-linux", id="FreeBSD says amd64"),
        pytest.param("Linux", "ppc64le", "powerpc64le-linux", id="Linux says ppc64le"),
        pytest.param("Linux", "i586", "i686-linux", id="any old PC is one to Nix"),
    ],
)
def test_the_system_whose_programs_an_engine_here_runs(
    system: str, machine: str, linux: str
) -> None:
    assert Differences.of(system, machine, 4).linux == linux


def test_all_that_a_mac_does_otherwise() -> None:
    linux, mac = Differences.of("Linux", "aarch64", 4), Differences.of("Darwin", "arm64", 4)
    assert linux == Differences(
        "aarch64", 4, runs_linux=True, forks=True, has_ficlone=True, case_hack=False
    )
    assert mac == Differences(
        "aarch64", 4, runs_linux=False, forks=False, has_ficlone=False, case_hack=True
    )


def test_no_more_cores_are_used_than_this_process_may() -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("no affinity here: all cores are used")
    assert here().cores == len(os.sched_getaffinity(0))
