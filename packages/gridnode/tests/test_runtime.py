"""The runtime folder: built once, checked cheaply, rebuilt when it was touched, shared safely."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridnode import libraries, runtime
from gridnode.runtime import folder, sources


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="gridnode-runtime-"))
    os.chmod(place, 0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def built(root: Path) -> runtime.Runtime:
    return runtime.ensure_runtime(root)


def test_the_runtime_holds_an_interpreter_its_libraries_and_the_packages(built: runtime.Runtime) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"

    assert (built.path / "bin" / "python3").stat().st_mode & 0o111
    assert (built.path / sys.platlibdir / version / "json" / "__init__.py").is_file()
    assert (built.path / "libs" / Path(built.interpreter).name).is_file()
    assert (built.path / "libs" / "libc.so.6").is_file()
    assert {"numpy", "onnxruntime"} <= {path.name for path in (built.path / "site").iterdir()}
    assert [name for name, _ in built.packages] == ["numpy", "onnxruntime"]
    assert len(built.digest) == 64


def test_what_jobs_do_not_need_is_left_out(built: runtime.Runtime) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    inside = {path.name for path in (built.path / sys.platlibdir / version).iterdir()}

    unwanted = {"test", "idlelib", "tkinter", "ensurepip", "site-packages", "dist-packages", "sitecustomize.py"}

    assert not inside & unwanted
    assert {path.name for path in (built.path / "site").iterdir()} <= {"numpy", "numpy.libs", "onnxruntime"}
    assert "transformers" not in {path.name for path in (built.path / "site" / "onnxruntime").iterdir()}


def test_every_library_that_anything_in_it_needs_is_in_it(built: runtime.Runtime) -> None:
    present = {path.name for path in built.path.rglob("*.so*")}
    loader = Path(built.interpreter)
    wanted = set()
    for path in [built.path / "bin" / "python3", *built.path.rglob("*.so*")]:
        if libraries.is_elf(path) and path.name != loader.name:
            wanted |= set(libraries.needed_by(path, loader=loader))

    assert wanted <= present


def test_others_may_read_it_and_nobody_may_write(built: runtime.Runtime) -> None:
    for path in [built.path, *built.path.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert not path.is_symlink()
        assert mode in ((0o755,) if path.is_dir() else (0o644, 0o755)), (path, oct(mode))


def test_a_second_call_finds_it_without_reading_its_files(
    root: Path, built: runtime.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(path: Path) -> str:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(folder, "_sha256", unread)

    assert runtime.ensure_runtime(root) == built


def test_the_digest_does_not_depend_on_where_and_when_it_was_built(root: Path, built: runtime.Runtime) -> None:
    other = Path(tempfile.mkdtemp(prefix="gridnode-runtime-", dir=root))
    os.chmod(other, 0o755)

    again = runtime.ensure_runtime(other)

    assert again.digest == built.digest
    assert again.path != built.path


@pytest.mark.parametrize("damage", ["content", "mode", "missing", "manifest", "extra"])
def test_a_runtime_that_was_touched_is_built_again(root: Path, built: runtime.Runtime, damage: str) -> None:
    victim = built.path / "site" / "numpy" / "__init__.py"
    good = victim.read_bytes()
    match damage:
        case "content":
            times = victim.stat()
            victim.write_bytes(b"#" + good[1:])
            os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
        case "mode":
            os.chmod(victim, 0o777)
        case "missing":
            victim.unlink()
        case "manifest":
            manifest = json.loads((built.path / "manifest.json").read_text())
            manifest["files"][0]["sha256"] = "0" * 64
            (built.path / "manifest.json").write_text(json.dumps(manifest))
        case "extra":
            (built.path / "site" / "numpy" / "extra.py").write_text("x")
            (built.path / "stamp.json").unlink()

    again = runtime.ensure_runtime(root)

    assert again == built
    assert victim.read_bytes() == good
    assert stat.S_IMODE(victim.stat().st_mode) == 0o644
    assert not (built.path / "site" / "numpy" / "extra.py").exists()


def test_a_runtime_with_renewed_times_is_checked_by_hash_and_kept(root: Path, built: runtime.Runtime) -> None:
    inode = built.path.stat().st_ino
    os.utime(built.path / "site" / "numpy" / "__init__.py")

    again = runtime.ensure_runtime(root)

    assert again == built
    assert built.path.stat().st_ino == inode  # not rebuilt


def test_several_agents_may_ask_at_once(root: Path) -> None:
    shared = Path(tempfile.mkdtemp(prefix="gridnode-runtime-", dir=root))
    os.chmod(shared, 0o755)
    (shared / ".build-broken").mkdir()
    code = "import sys, pathlib; from gridnode import runtime; print(runtime.ensure_runtime(pathlib.Path(sys.argv[1])))"

    agents = [subprocess.Popen([sys.executable, "-c", code, str(shared)], stdout=subprocess.PIPE) for _ in range(3)]
    answers = {agent.communicate(timeout=60)[0] for agent in agents}

    assert [agent.returncode for agent in agents] == [0, 0, 0]
    assert len(answers) == 1
    assert len([path for path in shared.iterdir() if path.name != ".lock"]) == 1


def test_a_place_that_unprivileged_jobs_cannot_reach_is_refused_to_root(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(PermissionError, match="lacks o\\+x"):
        runtime.require_reachable(closed)

    if os.geteuid() == 0:
        with pytest.raises(runtime.RuntimeUnavailable, match="runtime_root_untraversable"):
            runtime.ensure_runtime(closed)


def test_a_missing_package_is_named_with_the_remedy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MODULES", ("numpy", "no_such_package_here"))

    with pytest.raises(runtime.RuntimeUnavailable, match=r"module_missing: .*no_such_package_here.*gridnode\[onnx\]"):
        runtime.ensure_runtime(root)


def test_an_elf_program_names_its_loader_and_libraries() -> None:
    program = Path(sys.executable).resolve()

    loader = libraries.interpreter_of(program)

    assert loader.is_file()
    assert "libc.so.6" in libraries.needed_by(program, loader=loader)
    with pytest.raises(libraries.NotAnElfProgram):
        libraries.interpreter_of(Path(__file__))
