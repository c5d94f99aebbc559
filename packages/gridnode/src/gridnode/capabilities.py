"""The node's signed statement of what it has and what it proved: inventory, benchmark, self-test."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gridnode import __version__, clock, inventory, plain_text, runners, runtime, selftest
from gridnode.sandbox.executor import Sandbox
from opengrid import benchmark, keys, messages

EXECUTOR = "bwrap"


@dataclass(frozen=True, slots=True)
class Proved:
    """An open sandbox with the record of its self-test and the runtime that jobs run in."""

    sandbox: Sandbox
    record: selftest.CapabilityRecord
    runtime: runtime.Runtime

    @property
    def runtime_digest(self) -> str:
        """The runtime's identity as messages write digests."""
        return f"sha256:{self.runtime.digest}"


def open_sandbox(work: Path, runtime_root: Path | None) -> Proved:
    """Build or find the runtime, clean up after a crashed agent, run the seven probes.

    Raises: runtime.RuntimeUnavailable, sandbox.spec.SandboxUnavailable: then no job may run here.
    """
    built = runtime.ensure_runtime(runtime_root)
    sandbox, record = selftest.open_sandbox(runtime=built, work_root=work, now=clock.now())
    return Proved(sandbox, record, built)


def usable_cores(found: inventory.Inventory) -> int:
    """Whole cores that may be sold; a part of one counts as one, the benchmark says what it is worth."""
    return max(1, found.usable_milli_cores // 1000)


def measure(cores: int) -> messages.Benchmark:
    """Run the reference benchmark on a fresh seed; takes about three seconds. Raises: benchmark.BenchmarkFailed."""
    return benchmark.run_benchmark(secrets.randbelow(2**31), cores)


def statement(
    proved: Proved,
    *,
    node_id: int,
    found: inventory.Inventory,
    measured: messages.Benchmark,
    limit_milli: int | None,
    made_at: datetime,
    refusal: str = "",
) -> messages.CapabilityRecord:
    """What this node has, measured and proved. With a `refusal` the sandbox counts as not passed, for that reason."""
    return messages.CapabilityRecord(
        node_id=node_id,
        made_at=messages.timestamp(made_at),
        agent_version=__version__,
        hardware=messages.Hardware(
            cores=usable_cores(found),
            memory_mib=found.memory_mib,
            disk_mib=found.disk_free_mib,
            architecture=found.architecture,
            cpu_model=found.cpu_model[:200],
            kernel=found.kernel,
            boot_id=found.boot_id,
            gpus=tuple(
                messages.Gpu(name=gpu.name[:100], memory_mib=gpu.memory_mib, driver=gpu.driver_version[:100])
                for gpu in found.gpus.devices
            ),
        ),
        benchmark=measured,
        sandbox=_sandbox(proved.record, refusal),
        runners=tuple(messages.Runner(name) for name in runners.names()),
        runtime_digest=proved.runtime_digest,
        limit_milli=limit_milli,
    )


def signed(key: keys.PrivateKey, record: messages.CapabilityRecord) -> messages.SignedCapabilities:
    """The record with the node key's signature."""
    return messages.SignedCapabilities(
        record=record, signature=keys.sign_document(key, keys.CAPABILITIES, record.document())
    )


def _sandbox(record: selftest.CapabilityRecord, refusal: str) -> messages.SandboxRecord:
    stated = record.to_dict()
    known = {name: stated[name] for name in messages.SandboxRecord.model_fields if name in stated}
    probes = {probe.name: ("held: " if probe.passed else "FAILED: ") + probe.text for probe in record.probes}
    known |= {"executor": EXECUTOR, "probes": probes}
    if refusal:
        known |= {"passed": False, "refusal": plain_text.tamed(refusal, 2000)}
    return messages.SandboxRecord(**known)
