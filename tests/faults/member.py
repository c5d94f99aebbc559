"""The member's program: submits, cancels and fetches over HTTP, and tries again as long as nobody answers."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from opengrid import digests
from tests.faults.record import Acknowledged, Record

PATIENCE_SECONDS = 90.0
RETRY_SECONDS = 0.1


class Unanswered(RuntimeError):
    """The platform gave no useful answer for PATIENCE_SECONDS."""


class Refused(RuntimeError):
    """The platform said no, where the harness expects yes."""


class Member:
    """Speaks for one API token. Every acknowledged write goes into the record."""

    def __init__(self, url: str, token: str, record: Record) -> None:
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20)
        self._record = record

    def upload(self, data: bytes) -> str:
        """Store a file; returns its digest."""
        digest = digests.of_bytes(data)
        headers = {"Content-Type": "application/octet-stream"}
        self._persist(lambda: self._http.put(f"/api/v1/blobs/{digest}", content=data, headers=headers))
        self._record.add(Acknowledged("blob", digest))
        return digest

    def submit(self, spec: dict[str, Any], key: str) -> int:
        """Submit a job under an idempotency key, with as many tries as it takes; returns its id."""
        headers = {"Idempotency-Key": key}
        answer = self._persist(lambda: self._http.post("/api/v1/jobs", json=spec, headers=headers))
        job_id = int(answer.json()["id"])
        self._record.add(Acknowledged("job", key, job_id))
        return job_id

    def cancel(self, job_id: int) -> None:
        """Cancel a job. A cancel whose first answer was lost is refused as finished, which says the same."""
        answer = self._persist(lambda: self._http.post(f"/api/v1/jobs/{job_id}/cancel"), accepted=(409,))
        if answer.status_code == 409 and answer.json()["code"] != "job_already_finished":
            raise Refused(answer.text)
        self._record.add(Acknowledged("cancel", f"job:{job_id}", job_id))

    def job(self, job_id: int) -> dict[str, Any]:
        """A job with its progress and bill."""
        found: dict[str, Any] = self.get(f"/api/v1/jobs/{job_id}").json()
        return found

    def outputs(self, job_id: int) -> dict[tuple[int, str], bytes]:
        """The files of the accepted results, by task and name."""
        listed = self.get(f"/api/v1/jobs/{job_id}/outputs").json()["outputs"]
        places = [(output["task_index"], output["name"]) for output in listed]
        return {place: self.get(f"/api/v1/jobs/{job_id}/outputs/{place[0]}/{place[1]}").content for place in places}

    def get(self, path: str) -> httpx.Response:
        """Fetch something, with as many tries as it takes."""
        return self._persist(lambda: self._http.get(path))

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Post something that may be posted twice."""
        return self._persist(lambda: self._http.post(path, json=body))

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _persist(self, act: Callable[[], httpx.Response], accepted: tuple[int, ...] = ()) -> httpx.Response:
        """Act until there is an answer that means something. Raises: Unanswered, Refused."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = act()
            except httpx.TransportError as error:
                seen = f"{type(error).__name__}: {error}"
            else:
                if answer.is_success or answer.status_code in accepted:
                    return answer
                seen = f"{answer.status_code}: {answer.text[:500]}"
                if answer.status_code < 500 and answer.status_code != 429:
                    raise Refused(f"{answer.request.method} {answer.request.url.path}: {seen}")
            if time.monotonic() > deadline:
                raise Unanswered(f"for {PATIENCE_SECONDS:g} s; last: {seen}")
            time.sleep(RETRY_SECONDS)
