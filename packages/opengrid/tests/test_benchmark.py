"""The reference benchmark: exact work, honest clocks, figures that follow the number of cores."""

import hashlib
import os
import time

import pytest

from opengrid import benchmark


def test_the_modulus_is_a_prime_and_sums_cannot_overflow() -> None:
    assert all(benchmark.MODULUS % divisor for divisor in range(2, 2**14 + 1))
    assert benchmark.ORDER * (benchmark.MODULUS - 1) ** 2 < 2**63


def test_the_work_is_what_plain_integers_give() -> None:
    seed, order, modulus = 11, benchmark.ORDER, benchmark.MODULUS
    stream = hashlib.shake_256(b"opengrid-benchmark-1\n11").digest(16 * order * order)
    numbers = [int.from_bytes(stream[at : at + 8], "little") % modulus for at in range(0, len(stream), 8)]
    factor, result = (
        [numbers[at : at + order] for at in range(start, start + order * order, order)] for start in (0, order * order)
    )

    for _ in range(2):
        columns = list(zip(*result, strict=True))
        result = [
            [sum(a * b for a, b in zip(row, column, strict=True)) % modulus for column in columns] for row in factor
        ]

    first, second = benchmark._matrices(seed)
    for _ in range(2):
        second = (first @ second) % modulus
    assert second.tolist() == result


def test_the_checksum_is_fixed_for_a_seed_and_differs_between_seeds() -> None:
    assert benchmark.checksum_of(5) == ("sha256:e85ac5df84f4aba7f50ea5acca024a535ec7fcc70035aa8c687d119dff11f6b5")
    assert benchmark.checksum_of(6) != benchmark.checksum_of(5)


def test_a_measurement_is_verifiable_and_does_not_exceed_its_cores() -> None:
    began = time.monotonic()

    result = benchmark.run_benchmark(seed=42, cores=2)

    elapsed_ms = (time.monotonic() - began) * 1000
    assert result.checksum == benchmark.checksum_of(42)
    assert (result.version, result.threads, result.seed) == (1, 2, 42)
    assert result.core_milli > 0
    assert 0 < result.total_milli <= 2 * result.core_milli
    assert 0 < result.seconds_milli <= elapsed_ms + 1


def test_more_processes_than_cores_do_not_make_more_cores() -> None:
    usable = len(os.sched_getaffinity(0))

    result = benchmark.run_benchmark(seed=1, cores=3 * usable)

    assert result.threads == 3 * usable
    assert result.total_milli <= usable * result.core_milli


def test_only_rounds_while_all_worked_count() -> None:
    first = benchmark._Rounds(ends_ns=(10, 40, 70, 71), starts_ns=(0, 11, 41, 70), checksum="x")
    second = benchmark._Rounds(ends_ns=(45, 70), starts_ns=(10, 46), checksum="x")
    earlier = benchmark._Rounds(ends_ns=(5,), starts_ns=(1,), checksum="x")

    found = benchmark._common([first, second])

    assert found[0] == benchmark._Rounds(ends_ns=(40, 70), starts_ns=(11, 41), checksum="x")
    assert found[1] == second
    with pytest.raises(benchmark._NothingInCommon):
        benchmark._common([earlier, second])


def test_processes_that_never_work_at_once_are_given_longer_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def one_after_the_other(_seed: int, count: int, seconds: float) -> list[benchmark._Rounds]:
        asked.append(seconds)
        return [benchmark._Rounds((10 * n + 9,), (10 * n,), "x") for n in range(count)]

    monkeypatch.setattr(benchmark, "_run_processes", one_after_the_other)

    with pytest.raises(benchmark.BenchmarkFailed) as failed:
        benchmark.run_benchmark(seed=1, cores=2)
    assert failed.value.code == "benchmark_failed"
    assert asked[1:] == [1.5, 3.0, 6.0, 12.0]


def test_the_best_round_counts_in_reference_cores() -> None:
    reference_ns = round(benchmark.WORK * 1e9 / benchmark.REFERENCE_PRODUCTS)
    rounds = benchmark._Rounds((9 * reference_ns, 11 * reference_ns), (0, 10 * reference_ns), "x")

    assert benchmark._milli(benchmark._best_round(rounds)) == 1000


@pytest.mark.parametrize(("seed", "cores"), [(-1, 1), (2**64, 1), (1, 0), (1, 5000)])
def test_impossible_requests_are_refused(seed: int, cores: int) -> None:
    with pytest.raises(ValueError, match="found"):
        benchmark.run_benchmark(seed, cores)
