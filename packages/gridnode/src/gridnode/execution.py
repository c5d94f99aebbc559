"""Carries out one assignment: fetch and verify its files, run it in the sandbox, sign what came out."""

import asyncio
import errno
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gridnode import plain_text, runners
from gridnode.cache import BlobCache
from gridnode.capabilities import Proved
from gridnode.client import Coordinator, Refused, WrongContent
from gridnode.home import Home
from gridnode.runners import interface
from gridnode.sandbox import spec
from opengrid import keys, manifest
from opengrid.errors import OpengridError
from opengrid.messages import (
    BlobRef,
    ExitReason,
    FileName,
    ModelRef,
    Receipt,
    Runner,
    TaskAssignment,
    Usage,
    timestamp,
)

logger = logging.getLogger(__name__)

OnProgress = Callable[[int, str], None]
LOG_CHARACTERS = 2000
MIB = 1024 * 1024
DOWNLOAD_TRIES = 3
"""A file with wrong contents is fetched anew: the way may have damaged it, not the one who keeps it."""
SPARE_BYTES = 64 * MIB
"""Disk space that no input may take."""

_FILE_NAME: TypeAdapter[str] = TypeAdapter(FileName)


class TaskFailed(Exception):
    """The task produced no result; `reason` is what the coordinator is told."""

    def __init__(self, reason: ExitReason, detail: str) -> None:
        self.reason, self.detail = reason, plain_text.tamed(detail, LOG_CHARACTERS)
        super().__init__(f"{reason}: {self.detail}")


@dataclass(frozen=True, slots=True)
class Result:
    """What a task left behind: its output files in `folder`, and what the node measured."""

    folder: Path
    usage: Usage


class Executor:
    """Runs assignments in the proved sandbox, any number at once."""

    def __init__(self, home: Home, coordinator: Coordinator, proved: Proved) -> None:
        self.home, self.coordinator, self.proved = home, coordinator, proved
        self.cache = BlobCache(home.cache)

    def prepare(self) -> None:
        """Remove what an earlier agent left half done. Raises: OSError."""
        shutil.rmtree(self.home.tasks, ignore_errors=True)
        self.home.tasks.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.cache.prepare()

    async def run(self, task: TaskAssignment, on_progress: OnProgress) -> Result:
        """Fetch, verify and run one task; the caller uploads the result and calls `clean`.

        Cancelling it cancels the job and leaves nothing running. A coordinator that is away is waited for.
        Raises: TaskFailed.
        """
        try:
            return await self._run(task, on_progress)
        except OSError as error:
            logger.warning("attempt %s: this machine cannot keep its files: %s", task.attempt_id, error)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                await asyncio.to_thread(self.cache.clear)
            raise TaskFailed(ExitReason.LOST, f"the node could not keep the task's files: {error.strerror}") from error

    def clean(self, task: TaskAssignment) -> None:
        """Remove what the task left on this machine."""
        shutil.rmtree(self._folder(task), ignore_errors=True)

    def receipt(self, task: TaskAssignment, result: Result, outputs: tuple[BlobRef, ...], node_id: int) -> Receipt:
        """The statement of what ran on what and what came out; the caller signs it."""
        return Receipt(
            attempt_id=task.attempt_id,
            token=task.token,
            task_id=task.task_id,
            node_id=node_id,
            input_digests=tuple(entry.digest for entry in task.inputs),
            outputs=outputs,
            exit_reason=ExitReason.OK,
            usage=result.usage,
            runtime_digest=self.proved.runtime_digest,
            finished_at=timestamp(self.coordinator.now()),
        )

    def _folder(self, task: TaskAssignment) -> Path:
        return self.home.tasks / f"{task.attempt_id}-{task.token}"

    async def _run(self, task: TaskAssignment, on_progress: OnProgress) -> Result:
        folder = self._folder(task)
        inside, outside = folder / "in", folder / "out"
        await asyncio.to_thread(_make_fresh, folder, inside)
        await self._fetch_all(task, inside)
        try:
            job = runners.by_name(task.runner).prepare(inside, _limits(task))
            outcome = await self.proved.sandbox.run_async(job, inside, outside, _tail(on_progress))
        except spec.SandboxUnavailable as error:
            raise TaskFailed(ExitReason.SANDBOX_UNAVAILABLE, str(error)) from error
        except spec.JobRefused as error:
            raise TaskFailed(ExitReason.BAD_INPUT, str(error)) from error
        _check(outcome)
        return Result(outside, _usage(outcome))

    async def _fetch_all(self, task: TaskAssignment, inside: Path) -> None:
        if task.runner is Runner.ONNX:
            if task.model is None or len(task.inputs) != 1:
                raise TaskFailed(ExitReason.BAD_INPUT, "runner onnx takes one model and one input")
            await self._fetch_kept(model_file(task.model), inside / "model.onnx")
            await self._fetch(task.inputs[0], inside / "input.npy")
            return
        if task.bundle is None:
            raise TaskFailed(ExitReason.BAD_INPUT, "runner python takes a bundle")
        if len({entry.name for entry in task.inputs}) != len(task.inputs):
            raise TaskFailed(ExitReason.BAD_INPUT, "two inputs have the same name")
        await self._fetch_kept(task.bundle, inside / "main.py")
        (inside / "inputs").mkdir()
        for entry in task.inputs:
            await self._fetch(entry, inside / "inputs" / entry.name)

    async def _fetch_kept(self, blob: BlobRef, target: Path) -> None:
        await self.cache.bring(blob, target, partial(self._fetch, blob))

    async def _fetch(self, blob: BlobRef, target: Path) -> None:
        """Download and verify one file. Raises: TaskFailed, OSError."""
        free = shutil.disk_usage(target.parent).free
        if blob.size_bytes + SPARE_BYTES > free:
            raise OSError(errno.ENOSPC, f"{blob.name} has {blob.size_bytes} bytes and {free} are free on the node")
        for tries_left in reversed(range(DOWNLOAD_TRIES)):
            try:
                await self.coordinator.persist(partial(self.coordinator.download, blob.digest, target, blob.size_bytes))
                return
            except WrongContent as error:
                logger.warning("%s: %s", blob.name, error)
                if not tries_left:
                    raise TaskFailed(ExitReason.BAD_INPUT, f"{blob.name}: {error}") from error
            except Refused as error:
                raise TaskFailed(ExitReason.BAD_INPUT, f"{blob.name} is not handed out: {error}") from error


def sign_receipt(key: keys.PrivateKey, receipt: Receipt) -> str:
    """The node key's signature over the receipt."""
    return keys.sign_document(key, keys.RECEIPT, receipt.document())


def output_files(result: Result) -> list[Path]:
    """The collected output files, by name.

    Raises: TaskFailed for none, for folders, and for names that no message may carry.
    """
    found = sorted(result.folder.iterdir()) if result.folder.is_dir() else []
    if not found:
        raise TaskFailed(ExitReason.BAD_OUTPUT, "the task wrote no output")
    for path in found:
        shown = plain_text.tamed(path.name, 100, keeps_lines=False)
        if path.is_symlink() or not path.is_file():
            raise TaskFailed(ExitReason.BAD_OUTPUT, f"{shown} is a folder; outputs are plain files")
        try:
            _FILE_NAME.validate_python(path.name)
        except ValidationError as error:
            text = f"found the output name {shown!r}; accepted are up to 100 letters, digits, '.', '_' and '-'"
            raise TaskFailed(ExitReason.BAD_OUTPUT, text) from error
    return found


def model_file(model: ModelRef) -> BlobRef:
    """The ONNX file of a model whose manifest its publisher signed. Raises: TaskFailed."""
    try:
        stated = manifest.verify_manifest(model.manifest, model.signature, model.publisher_key)
    except OpengridError as error:
        raise TaskFailed(ExitReason.BAD_SIGNATURE, f"{error.code}: {error.message}") from error
    for file in stated.files:
        if file.kind is manifest.FileKind.ONNX:
            return BlobRef(name="model.onnx", digest=file.digest, size_bytes=file.size_bytes)
    raise TaskFailed(ExitReason.BAD_INPUT, "the model has no ONNX file")


def _make_fresh(folder: Path, inside: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    inside.mkdir(parents=True)


def _limits(task: TaskAssignment) -> spec.Limits:
    limits = task.limits
    return spec.Limits(
        wall_seconds=limits.wall_seconds,
        cpu_seconds=limits.wall_seconds,
        memory_mib=limits.memory_mib,
        pids=limits.pids,
        output_bytes=limits.output_bytes,
        output_files=limits.output_files,
        stdout_bytes=limits.stdout_bytes,
        file_bytes=min(limits.output_bytes, limits.disk_mib * MIB),
    )


def _tail(on_progress: OnProgress) -> Callable[[bytes], None]:
    """What the sandbox tells while a job runs: progress never falls back, and the text can be shown anywhere."""
    furthest = 0

    def told(tail: bytes) -> None:
        nonlocal furthest
        furthest = max(furthest, interface.progress(tail) or 0)
        on_progress(furthest, plain_text.tamed(tail, LOG_CHARACTERS))

    return told


def _check(outcome: spec.Outcome) -> None:
    if outcome.reason is not spec.Reason.OK:
        refusal = interface.refusal(outcome)
        if refusal is not None:
            raise TaskFailed(ExitReason.BAD_INPUT, f"{refusal.code}: {refusal.text}")
        said = plain_text.tamed(outcome.stderr[-2000:], 500)
        raise TaskFailed(ExitReason(outcome.reason.value), f"{outcome.detail} {said}".strip())
    if outcome.rejected:
        first = outcome.rejected[0]
        raise TaskFailed(ExitReason.BAD_OUTPUT, f"{first.code}: {first.path}")


def _usage(outcome: spec.Outcome) -> Usage:
    return Usage(
        wall_ms=outcome.usage.wall_ms,
        cpu_ms=outcome.usage.cpu_ms,
        peak_memory_mib=outcome.usage.peak_memory_bytes // MIB,
    )
