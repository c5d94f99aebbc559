"""Every message between a node and a coordinator, as strict immutable types.

Unknown fields, wrong types and out-of-range numbers are refused. Numbers are integers: milli-units,
milliseconds, MiB, micro-credits, permille. What a node says about itself is a claim until checked.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from opengrid import digests

PROTOCOL_VERSION: Final = 1
SMALL_FILE_BYTES: Final = 64 * 1024
SMALL_FILE_CHARS: Final = 4 * -(-SMALL_FILE_BYTES // 3)
RESULTS_TOGETHER: Final = 100

Digest = Annotated[str, StringConstraints(pattern=digests.PATTERN)]
PublicKey = Annotated[str, StringConstraints(pattern=r"^ed25519:[A-Za-z0-9_-]{43}$")]
Signature = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{86}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Text = Annotated[str, StringConstraints(max_length=2000)]
Natural = Annotated[int, Field(ge=0, le=2**53)]
Positive = Annotated[int, Field(ge=1, le=2**53)]
Permille = Annotated[int, Field(ge=0, le=1000)]


class Message(BaseModel):
    """Base of all messages: strict, immutable, closed."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    def document(self) -> dict[str, Any]:
        """The message as JSON values, ready for `canonical_bytes`."""
        return self.model_dump(mode="json")


class Runner(StrEnum):
    """How a task is executed on a node."""

    ONNX = "onnx"
    PYTHON = "python"


class ExitReason(StrEnum):
    """Why an execution ended, as the node reports it."""

    OK = "ok"
    NONZERO_EXIT = "nonzero_exit"
    OOM = "oom"
    WALL = "wall"
    CPU = "cpu"
    DISK_QUOTA = "disk_quota"
    FILE_COUNT = "file_count"
    STDOUT_LIMIT = "stdout_limit"
    CANCELLED = "cancelled"
    LOST = "lost"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    BAD_INPUT = "bad_input"
    BAD_SIGNATURE = "bad_signature"
    BAD_OUTPUT = "bad_output"


# --- joining -----------------------------------------------------------------------------------


class JoinRequest(Message):
    """Exchange a one-time join token for a node identity; `proof` signs it with the new key."""

    protocol: Literal[1] = PROTOCOL_VERSION
    token: Annotated[str, StringConstraints(min_length=20, max_length=200)]
    public_key: PublicKey
    proof: Signature
    name: Word
    agent_version: Word


class JoinReply(Message):
    """The node's identity at this coordinator and the rhythm it should keep."""

    node_id: Positive
    cooperative: Word
    heartbeat_seconds: Positive
    poll_seconds: Positive
    server_time: str


# --- capabilities --------------------------------------------------------------------------------


class Gpu(Message):
    """One GPU as found; recorded, not traded yet."""

    name: Word
    memory_mib: Natural
    driver: Annotated[str, StringConstraints(max_length=100)] = ""


class Hardware(Message):
    """What the agent found on its machine."""

    cores: Positive
    memory_mib: Positive
    disk_mib: Natural
    architecture: Word
    cpu_model: Annotated[str, StringConstraints(max_length=200)]
    kernel: Word
    boot_id: Word
    gpus: tuple[Gpu, ...] = ()


class Benchmark(Message):
    """Outcome of opengrid's reference benchmark. 1000 milli-units is one reference core."""

    version: Positive
    core_milli: Natural
    total_milli: Natural
    threads: Positive
    seconds_milli: Natural
    seed: Natural
    checksum: Digest
    """Of the workload's exact result for `seed`; anyone can compute it again."""


class SandboxRecord(Message):
    """What an executor proved about itself in this boot (execution self-test)."""

    executor: Word
    version: Word
    passed: bool
    refusal: Text = ""
    net_isolated: bool = False
    fs_isolated: bool = False
    mem: Literal["cgroup1", "cgroup2", "watchdog", "none"] = "none"
    pids: Literal["cgroup", "rlimit", "none"] = "none"
    cpu: Literal["cfs", "none"] = "none"
    disk: Literal["hard", "soft", "none"] = "none"
    seccomp: bool = False
    userns_disabled: bool = False
    uid_separate: bool = False
    probes: dict[str, str] = Field(default_factory=dict)


class CapabilityRecord(Message):
    """The signed statement of a node about what it has and what it proved."""

    node_id: Positive
    made_at: str
    agent_version: Word
    hardware: Hardware
    benchmark: Benchmark
    sandbox: SandboxRecord
    runners: tuple[Runner, ...]
    runtime_digest: Digest
    limit_milli: Positive | None = None
    """The operator's own limit on what may be sold, in milli-units of class cpu."""


class SignedCapabilities(Message):
    """A capability record and the node key's signature over its canonical bytes."""

    record: CapabilityRecord
    signature: Signature


class CapabilityReply(Message):
    """What the coordinator made of the record."""

    node_state: Word
    sellable_lots: Natural
    floor_price_micro: Natural
    reason: Text = ""


class OfferRequest(Message):
    """Keep a standing SELL offer of at most `lots` lots at `price_micro` per unit-hour."""

    lots: Positive
    price_micro: Natural


class OfferReply(Message):
    """The standing offer's order."""

    order_id: Positive
    lots: Positive
    price_micro: Natural


# --- living --------------------------------------------------------------------------------------


class AttemptBeat(Message):
    """Progress of one running attempt."""

    attempt_id: Positive
    token: Positive
    progress_permille: Permille = 0
    log_tail: Text = ""


class HeartbeatRequest(Message):
    """The node is alive; `slots_free` is how many more tasks it would take now."""

    slots_free: Natural
    load_permille: Natural
    attempts: tuple[AttemptBeat, ...] = ()


class HeartbeatReply(Message):
    """Server time, the node's state, attempts it should stop, and whether work is waiting."""

    server_time: str
    node_state: Word
    stale_attempt_ids: tuple[int, ...] = ()
    work_waiting: bool = False


# --- working -------------------------------------------------------------------------------------


class BlobRef(Message):
    """A file by name and content."""

    name: FileName
    digest: Digest
    size_bytes: Natural


class ModelRef(Message):
    """A published model version: canonical manifest text, its signature and its publisher's key."""

    version_id: Positive
    manifest: str
    signature: Signature
    publisher_key: PublicKey


class TaskLimits(Message):
    """Hard limits of one execution."""

    wall_seconds: Positive
    memory_mib: Positive
    disk_mib: Positive
    output_bytes: Positive
    output_files: Positive
    stdout_bytes: Positive
    pids: Positive


class ClaimRequest(Message):
    """Ask for up to `max_tasks` tasks."""

    max_tasks: Annotated[int, Field(ge=1, le=100)]


class TaskAssignment(Message):
    """One attempt: what to run, on what, under which limits, until when."""

    attempt_id: Positive
    token: Positive
    task_id: Positive
    job_id: Positive
    runner: Runner
    model: ModelRef | None = None
    bundle: BlobRef | None = None
    inputs: tuple[BlobRef, ...]
    limits: TaskLimits
    deadline_at: str


class ClaimReply(Message):
    """The attempts handed out; empty with a reason when there is nothing."""

    tasks: tuple[TaskAssignment, ...]
    reason: Text = ""


class Usage(Message):
    """What the node measured; shown, never billed."""

    wall_ms: Natural
    cpu_ms: Natural
    peak_memory_mib: Natural


class Receipt(Message):
    """The node's signed statement of what it ran and what came out."""

    attempt_id: Positive
    token: Positive
    task_id: Positive
    node_id: Positive
    input_digests: tuple[Digest, ...]
    outputs: tuple[BlobRef, ...]
    exit_reason: ExitReason
    usage: Usage
    runtime_digest: Digest
    finished_at: str


class ResultRequest(Message):
    """A successful execution: the receipt and its signature. Outputs were uploaded before."""

    receipt: Receipt
    signature: Signature


class ResultReply(Message):
    """The result was recorded (again, if it had been before)."""

    attempt_id: Positive
    state: Word


class SmallFile(Message):
    """An output file that travels with its receipt: at most 64 KiB, in base64 (RFC 4648, padded)."""

    name: FileName
    content: Annotated[str, StringConstraints(max_length=SMALL_FILE_CHARS, pattern=r"^[A-Za-z0-9+/]*={0,2}$")]


class SignedResult(Message):
    """One result among several. Outputs that are not in `files` were uploaded before."""

    receipt: Receipt
    signature: Signature
    files: Annotated[tuple[SmallFile, ...], Field(max_length=64)] = ()


class ResultsRequest(Message):
    """Successful executions, together. Each is taken or refused for itself, and safe to send again."""

    results: Annotated[tuple[SignedResult, ...], Field(min_length=1, max_length=RESULTS_TOGETHER)]


class ResultOutcome(Message):
    """What became of one of them: its state, or the code of the refusal."""

    attempt_id: Positive
    state: Text = ""
    code: Text = ""
    detail: Text = ""


class ResultsReply(Message):
    """One outcome for each result, in the order in which they came."""

    outcomes: tuple[ResultOutcome, ...]


class FailureRequest(Message):
    """An execution that produced no result."""

    token: Positive
    exit_reason: ExitReason
    detail: Text = ""


# --- submitting ----------------------------------------------------------------------------------


class JobSpec(Message):
    """What a member asks for. Prices are micro-credits per unit-hour."""

    name: Word
    runner: Runner
    model_version_id: Positive | None = None
    bundle: BlobRef | None = None
    inputs: Annotated[tuple[BlobRef, ...], Field(min_length=1, max_length=10_000)]
    rows_per_task: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    assurance: Annotated[str, StringConstraints(pattern=r"^(none|quorum-[2-5])$")] = "quorum-2"
    limit_price_micro: Positive
    max_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    memory_mib: Annotated[int, Field(ge=64, le=1_048_576)] = 512
    disk_mib: Annotated[int, Field(ge=1, le=65_536)] = 64
    max_parallel: Annotated[int, Field(ge=1, le=1000)] = 8
    tiers: tuple[Word, ...] = ()
    zones: tuple[Word, ...] = ()
    required_isolation: tuple[Word, ...] = ()


def timestamp(moment: datetime) -> str:
    """RFC 3339 with microseconds in UTC, the form of every time in a message."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
