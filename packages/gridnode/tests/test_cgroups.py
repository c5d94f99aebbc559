"""cgroup v1 and v2 as files: what is written where. Version 2 has no kernel behind it here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gridnode.sandbox import cgroups
from gridnode.sandbox.spec import Limits, SandboxUnavailable

LIMITS = Limits(memory_mib=512, pids=20, cpu_share_milli=1500)
FILES = (
    "cgroup.procs", "cgroup.kill", "cgroup.controllers", "cgroup.subtree_control", "memory.max", "memory.swap.max",
    "memory.oom.group", "memory.events", "memory.peak", "memory.current", "pids.max", "cpu.max", "cpu.stat",
)  # fmt: skip


class FakeTree:
    """Folders that fill with control files when made and go with them, as cgroupfs does."""

    def __init__(self, point: Path) -> None:
        self.point = point
        point.mkdir()
        self.fill(point)
        self.removed: list[str] = []

    def fill(self, folder: Path) -> None:
        for name in FILES:
            (folder / name).write_text("")
        (folder / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")

    def make(self, folder: str) -> None:
        Path(folder).mkdir()
        self.fill(Path(folder))

    def remove(self, folder: str) -> None:
        shutil.rmtree(folder)
        self.removed.append(Path(folder).name)

    @property
    def mounts(self) -> str:
        return f"30 23 0:26 / {self.point} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.fixture
def tree(tmp_path: Path) -> FakeTree:
    return FakeTree(tmp_path / "cgroup")


def test_v2_is_found_below_the_agents_own_group_and_controllers_are_handed_down(tree: FakeTree) -> None:
    tree.make(str(tree.point / "service"))

    groups = cgroups.detect_v2("0::/service\n", tree.mounts, tree.make, tree.remove)

    assert groups is not None
    assert groups.base == tree.point / "service"
    assert (groups.base / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    assert len(tree.removed) == 1
    assert tree.removed[0].startswith("gridnode-detect-")


def test_v2_without_the_pids_controller_is_not_used(tree: FakeTree) -> None:
    (tree.point / "cgroup.controllers").write_text("cpu memory\n")

    assert cgroups.detect_v2("0::/\n", tree.mounts, tree.make, tree.remove) is None


def test_v2_of_an_agent_restarted_inside_its_leaf_uses_the_parent(tree: FakeTree) -> None:
    tree.make(str(tree.point / "gridnode-agent"))

    groups = cgroups.detect_v2("0::/gridnode-agent\n", tree.mounts, tree.make, tree.remove)

    assert groups is not None
    assert groups.base == tree.point


def test_v2_limits_are_written_before_a_process_enters(tree: FakeTree) -> None:
    groups = cgroups.GroupsV2(tree.point, tree.make)

    group = groups.create("gridnode-x-1", LIMITS)

    values = {name: (group.folder / name).read_text() for name in FILES}
    assert values["memory.max"] == str(512 << 20)
    assert values["memory.swap.max"] == "0"
    assert values["memory.oom.group"] == "1"
    assert values["pids.max"] == "22"
    assert values["cpu.max"] == "150000 100000"
    assert values["cgroup.procs"] == ""
    assert group.procs_files() == [str(group.folder / "cgroup.procs")]
    assert groups.leftovers("gridnode-x-") == [str(group.folder)]


def test_v2_figures_are_read_as_the_kernel_writes_them(tree: FakeTree) -> None:
    group = cgroups.GroupsV2(tree.point, tree.make).create("gridnode-x-1", LIMITS)
    (group.folder / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n")
    (group.folder / "cpu.stat").write_text("usage_usec 2345678\nuser_usec 2000000\n")
    (group.folder / "memory.peak").write_text("123456\n")
    (group.folder / "cgroup.procs").write_text("12\n13\n")

    assert group.oom_kills() == 3
    assert group.cpu_ms() == 2345
    assert group.peak_memory_bytes() == 123456
    assert group.pids() == [12, 13]
    (group.folder / "memory.peak").unlink()  # before Linux 5.19
    (group.folder / "memory.current").write_text("99\n")
    assert group.peak_memory_bytes() == 99


def test_a_group_that_cannot_be_limited_is_not_left_behind(tmp_path: Path) -> None:
    groups = cgroups.GroupsV1({"memory": tmp_path, "pids": tmp_path})  # no control files appear here

    with pytest.raises(FileNotFoundError):
        groups.create("gridnode-x-1", LIMITS)

    assert list(tmp_path.iterdir()) == []


def test_a_group_that_stays_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "gridnode-x-1"
    folder.mkdir()
    (folder / "busy").write_text("")

    with pytest.raises(SandboxUnavailable, match="cgroup_stuck"):
        cgroups.remove([str(folder)], patience_seconds=0.02)


def test_v1_needs_memory_and_pids(tmp_path: Path) -> None:
    own = "4:memory:/agent\n"
    mounts = f"30 23 0:26 / {tmp_path} rw - cgroup cgroup rw,memory\n"
    (tmp_path / "agent").mkdir()

    assert cgroups.detect_v1(own, mounts) is None
