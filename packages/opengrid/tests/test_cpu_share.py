"""Usable cores: affinity and the quotas of control groups, of both versions."""

import os
from pathlib import Path

import pytest

from opengrid import cpu_share


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_quotas_of_a_group_and_its_parents_apply(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "max 100000\n")
    write(tmp_path / "a.slice" / "cpu.max", "350000 100000\n")
    write(tmp_path / "a.slice" / "b.scope" / "cpu.max", "50000 100000\n")

    assert list(cpu_share.quotas_milli("0::/a.slice/b.scope\n", tmp_path)) == [500, 3500]


def test_in_a_container_the_mount_point_is_the_group(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "150000 100000\n")

    assert list(cpu_share.quotas_milli("0::/kubepods/pod1/x\n", tmp_path)) == [1500]


@pytest.mark.parametrize(("quota", "expected"), [("-1\n", []), ("25000\n", [250])])
def test_quotas_of_version_1_are_read(tmp_path: Path, quota: str, expected: list[int]) -> None:
    group = tmp_path / "cpu" / "job"
    write(group / "cpu.cfs_quota_us", quota)
    write(group / "cpu.cfs_period_us", "100000\n")
    membership = "5:memory:/job\n4:cpu,cpuacct:/job\n3:cpuset:/\n1:name=systemd:/\n"

    assert list(cpu_share.quotas_milli(membership, tmp_path)) == expected


def test_without_control_groups_affinity_decides(tmp_path: Path) -> None:
    assert list(cpu_share.quotas_milli("", tmp_path)) == []
    assert 1 <= cpu_share.usable_milli() <= len(os.sched_getaffinity(0)) * 1000
