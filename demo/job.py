"""Mia's job over HTTP: classify all 1,797 scans, follow it, fetch the answers."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from demo import publisher
from opengrid import npy

ROWS_PER_TASK = 50
LIMIT_PRICE_MICRO = 1_000_000
FINISH_SECONDS = 600
FINAL = ("DONE", "FAILED", "CANCELLED")


class JobFailed(RuntimeError):
    """The job did not end as the story needs it."""


def submit(http: httpx.Client, scans: NDArray[np.float32], version_id: int, assurance: str) -> int:
    """Upload the scans and submit the job; returns its id."""
    data = npy.dump(scans)
    digest = publisher.upload(http, data)
    answer = http.post(
        "/api/v1/jobs",
        headers={"Idempotency-Key": f"demo-{assurance}"},
        json={
            "name": "classify the scans",
            "runner": "onnx",
            "model_version_id": version_id,
            "inputs": [{"name": "scans.npy", "digest": digest, "size_bytes": len(data)}],
            "rows_per_task": ROWS_PER_TASK,
            "assurance": assurance,
            "limit_price_micro": LIMIT_PRICE_MICRO,
            "max_seconds": 60,
            "memory_mib": 512,
        },
    )
    if answer.status_code != 202:
        raise JobFailed(f"the job was refused: {answer.text}")
    return int(answer.json()["id"])


def follow(http: httpx.Client, job_id: int, show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Show the job until it has ended. Raises: JobFailed."""
    deadline = time.monotonic() + FINISH_SECONDS
    while time.monotonic() < deadline:
        job: dict[str, Any] = http.get(f"/api/v1/jobs/{job_id}").raise_for_status().json()
        show(job)
        if job["state"] in FINAL and not job["bill"]["remaining_micro"]:
            return job
        time.sleep(0.5)
    raise JobFailed(f"job {job_id} had not ended after {FINISH_SECONDS} s; it waits for: {job['waiting']}")


def labels(http: httpx.Client, job_id: int, rows: int) -> NDArray[np.int64]:
    """The accepted labels of all rows, put together from the tasks' outputs; -1 where a task has none."""
    found = np.full(rows, -1, dtype=np.int64)
    outputs = http.get(f"/api/v1/jobs/{job_id}/outputs").raise_for_status().json()["outputs"]
    for output in outputs:
        if output["name"] == "label.npy":
            path = f"/api/v1/jobs/{job_id}/outputs/{output['task_index']}/{output['name']}"
            part = npy.load(http.get(path).raise_for_status().content)
            found[output["row_start"] : output["row_stop"]] = part
    return found


def attempts(http: httpx.Client, job_id: int) -> list[dict[str, Any]]:
    """Every attempt of the job, oldest first."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        parameters = {} if cursor is None else {"cursor": cursor}
        page = http.get(f"/api/v1/jobs/{job_id}/attempts", params=parameters).raise_for_status().json()
        found += page["attempts"]
        cursor = page["next"]
        if cursor is None:
            return found[::-1]
