"""The reference benchmark: how many reference cores a machine is, measured the same way everywhere.

Work is a chain of matrix products X <- A X mod P over 64-bit integers (96 x 96, P = 2**28 - 57), 4
products a round. Every step needs the one before, the result is exact and known for a seed, and no
BLAS takes part (numpy multiplies integers itself, in one thread). 1000 milli is REFERENCE_PRODUCTS
multiplications with addition a second, about 2 ms a round. `core_milli` is the best round of one
process alone; `total_milli` is the sum of the best rounds of `cores` processes that work at the same
time, which shows cores that share an execution unit, and at most what affinity and CPU quota allow.
Other load only ever slows a round and a round fits between two interruptions, so the best of hundreds
is the machine's own speed even while it is busy.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opengrid import cpu_share, messages
from opengrid.errors import OpengridError

VERSION: Final = 1
MODULUS: Final = 2**28 - 57
"""A prime; 96 products of numbers below it, summed, stay below 2**63."""
ORDER: Final = 96
PRODUCTS: Final = 4
REFERENCE_PRODUCTS: Final = 1_800_000_000
WORK: Final = PRODUCTS * ORDER**3
"""Multiplications with addition in one round."""

MAX_CORES: Final = 4096
SINGLE_SECONDS: Final = 0.8
PARALLEL_SECONDS: Final = 1.5
MIN_ROUNDS: Final = 5
TRIES: Final = 4
TIMEOUT_SECONDS: Final = 120.0

_Matrix = npt.NDArray[np.int64]


class BenchmarkFailed(OpengridError):
    """A measuring process ended early, hung, or computed something else than the others."""

    def __init__(self, message: str) -> None:
        super().__init__("benchmark_failed", message)


class _NothingInCommon(Exception):
    """Some process did no round while all of them were at work."""


@dataclass(frozen=True, slots=True)
class _Rounds:
    """One process's rounds: when each ended (system-wide monotonic ns) and the result's digest."""

    ends_ns: tuple[int, ...]
    starts_ns: tuple[int, ...]
    checksum: str


def run_benchmark(seed: int, cores: int) -> messages.Benchmark:
    """Measure this machine with `cores` processes; takes about three seconds.

    Raises: ValueError for a seed outside 0 to 2**64-1 or cores outside 1 to MAX_CORES;
    BenchmarkFailed.
    """
    _check_seed(seed)
    if not 1 <= cores <= MAX_CORES:
        raise ValueError(f"found {cores} cores; 1 to {MAX_CORES} are accepted")
    began = time.monotonic()
    alone = _run_processes(seed, 1, SINGLE_SECONDS)
    together = _run_together(seed, cores)
    checksums = {rounds.checksum for rounds in (*alone, *together)}
    if len(checksums) != 1:
        raise BenchmarkFailed("processes disagree about the result of the same work")
    core_milli = _milli(_best_round(alone[0]))
    total_milli = sum(_milli(_best_round(rounds)) for rounds in together)
    usable_milli = min(cores * 1000, cpu_share.usable_milli())
    return messages.Benchmark(
        version=VERSION,
        core_milli=core_milli,
        total_milli=min(total_milli, core_milli * usable_milli // 1000),
        threads=cores,
        seconds_milli=round((time.monotonic() - began) * 1000),
        seed=seed,
        checksum=checksums.pop(),
    )


def checksum_of(seed: int) -> str:
    """The digest that honest work with this seed ends in; takes one round. Raises: ValueError."""
    _check_seed(seed)
    return _digest(_round(*_matrices(seed)))


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**64:
        raise ValueError(f"found seed {seed}; 0 to 2**64-1 is accepted")


def _matrices(seed: int) -> tuple[_Matrix, _Matrix]:
    """A and the first X, from SHAKE-256 of the seed: 64 bits a number, little-endian, mod P."""
    count = ORDER * ORDER
    stream = hashlib.shake_256(b"opengrid-benchmark-1\n%d" % seed).digest(2 * count * 8)
    numbers = (np.frombuffer(stream, dtype="<u8") % np.uint64(MODULUS)).astype(np.int64)
    factor, start = numbers.reshape(2, ORDER, ORDER)
    return factor, start


def _round(factor: _Matrix, start: _Matrix) -> _Matrix:
    result = start
    for _ in range(PRODUCTS):
        result = (factor @ result) % MODULUS
    return result


def _digest(result: _Matrix) -> str:
    return f"sha256:{hashlib.sha256(result.astype('<i8').tobytes()).hexdigest()}"


def _best_round(rounds: _Rounds) -> float:
    """Multiplications per second of the fastest round."""
    pairs = zip(rounds.starts_ns, rounds.ends_ns, strict=True)
    return WORK * 1e9 / min(end - start for start, end in pairs)


def _run_together(seed: int, cores: int) -> list[_Rounds]:
    """The rounds of processes that all work at once. Where a busy machine let one work after the other,
    they are given twice the time, up to TRIES times. Raises: BenchmarkFailed."""
    for attempt in range(TRIES):
        try:
            return _common(_run_processes(seed, cores, PARALLEL_SECONDS * 2**attempt))
        except _NothingInCommon:
            continue
    raise BenchmarkFailed("the processes did not work at the same time")


def _common(processes: list[_Rounds]) -> list[_Rounds]:
    """Only those rounds of each process during which all of them were at work. Raises: _NothingInCommon."""
    first = max(rounds.starts_ns[0] for rounds in processes)
    last = min(rounds.ends_ns[-1] for rounds in processes)
    found = []
    for rounds in processes:
        pairs = zip(rounds.starts_ns, rounds.ends_ns, strict=True)
        kept = [(start, end) for start, end in pairs if first <= start and end <= last]
        if not kept:
            raise _NothingInCommon
        starts, ends = zip(*kept, strict=True)
        found.append(_Rounds(ends, starts, rounds.checksum))
    return found


def _milli(products_per_second: float) -> int:
    return round(products_per_second * 1000 / REFERENCE_PRODUCTS)


def _run_processes(seed: int, count: int, seconds: float) -> list[_Rounds]:
    """Start processes, let all begin at the same moment, and collect their rounds."""
    processes = [_start_process(seed, seconds) for _ in range(count)]
    watchdog = threading.Timer(TIMEOUT_SECONDS, _kill, [processes])
    watchdog.start()
    try:
        for process in processes:
            if _read_line(process) != "ready":
                raise BenchmarkFailed("a measuring process could not start")
        for process in processes:
            _write_line(process, "go")
        return [_parse_rounds(_read_line(process)) for process in processes]
    finally:
        watchdog.cancel()
        _kill(processes)
        for process in processes:
            process.communicate()


def _kill(processes: list["subprocess.Popen[str]"]) -> None:
    for process in processes:
        process.kill()


def _start_process(seed: int, seconds: float) -> "subprocess.Popen[str]":
    pinned = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "opengrid.benchmark", str(seed), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **pinned, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        text=True,
    )


def _read_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise BenchmarkFailed("a measuring process ended early")
    return line.strip()


def _write_line(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _parse_rounds(line: str) -> _Rounds:
    found: dict[str, Any] = json.loads(line)
    return _Rounds(tuple(found["ends_ns"]), tuple(found["starts_ns"]), found["checksum"])


def _work(seed: int, seconds: float) -> None:
    """A measuring process: announce readiness, wait for the start, work, report."""
    factor, start = _matrices(seed)
    result = _round(factor, start)  # warms caches and the clock of the processor
    _say("ready")
    sys.stdin.readline()
    starts: list[int] = []
    ends: list[int] = []
    stop_ns = time.monotonic_ns() + round(seconds * 1e9)
    while len(ends) < MIN_ROUNDS or ends[-1] < stop_ns:
        starts.append(time.monotonic_ns())
        result = _round(factor, start)
        ends.append(time.monotonic_ns())
    report = {"starts_ns": starts, "ends_ns": ends, "checksum": _digest(result)}
    _say(json.dumps(report))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _work(int(sys.argv[1]), float(sys.argv[2]))
