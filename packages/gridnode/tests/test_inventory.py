"""Discovery on this machine, and the texts of others."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from gridnode import inventory


def test_the_inventory_of_this_machine_is_plausible(tmp_path: Path) -> None:
    found = inventory.discover(tmp_path)

    assert 0 < found.usable_milli_cores <= found.logical_cores * 1000
    assert 0 < found.memory_available_mib <= found.memory_mib
    assert found.disk_free_mib > 0
    assert found.cpu_model != ""
    assert len(found.boot_id) == 36
    assert bool(found.gpus.devices) is (found.gpus.reason == "")


def test_every_figure_is_an_integer(tmp_path: Path) -> None:
    for name, value in inventory.discover(tmp_path).to_dict().items():
        assert isinstance(value, int | str | tuple | dict), name
        assert not isinstance(value, float), name


def test_affinity_bounds_the_usable_cores() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert inventory.usable_milli_cores() <= 1000
    finally:
        os.sched_setaffinity(0, before)


def test_the_cpu_model_is_read_from_cpuinfo_of_several_architectures() -> None:
    assert inventory.cpu_model("processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU\n") == "Intel(R) Xeon(R) CPU"
    assert inventory.cpu_model("processor : 0\nModel : Raspberry Pi 4\n") == "Raspberry Pi 4"
    assert inventory.cpu_model("") == "unknown"


def test_only_flags_that_matter_for_rounding_are_kept() -> None:
    assert inventory.cpu_flags("flags : fpu avx2 sse4_2 fma hypervisor\n") == ("avx2", "fma", "sse4_2")


def test_records_cannot_be_changed(tmp_path: Path) -> None:
    found = inventory.discover(tmp_path)

    assert dataclasses.is_dataclass(found)
    assert type(found).__dataclass_params__.frozen  # type: ignore[attr-defined]
