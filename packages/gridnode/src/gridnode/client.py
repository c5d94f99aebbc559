"""Speaks to the coordinator: signed requests, typed answers, typed refusals. Outbound connections only."""

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from gridnode import clock, plain_text
from gridnode.patience import Backoff
from opengrid import digests, http_signatures, keys, messages

logger = logging.getLogger(__name__)

API = "/api/v1"
TIMEOUT_SECONDS = 20.0
"""For each step of an exchange: connecting, each part sent, each part received."""
MESSAGE_SECONDS = 60.0
"""For a whole exchange of messages, however slowly it drips in."""
ANSWER_BYTES = 32 * 1024 * 1024
PROBLEM_BYTES = 64 * 1024
CHUNK_BYTES = 1 << 16
IDLE_SECONDS = 3.0
"""Connections are reused for less time than servers keep them, so that none is closed under a request."""
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 10.0
LARGEST_SKEW = timedelta(days=100 * 365)
CLOCK_CODES = frozenset({"signature_expired", "signature_in_future"})
SIGN_ANEW_CODES = CLOCK_CODES | {"nonce_replayed"}

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_T = TypeVar("_T")
AnyReply = TypeVar("AnyReply", bound=messages.Message)


class BadAddress(ValueError):
    """The text is not the address of a coordinator."""


class Unreachable(Exception):
    """The coordinator does not answer, or not in its right mind: try later, `retry_after_seconds` from now if set."""

    def __init__(self, text: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_seconds = retry_after_seconds


class Refused(Exception):
    """The coordinator said no. `code` is its typed reason; trying the same again is useless."""

    def __init__(self, status: int, code: str, detail: str, server_time: datetime | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.status, self.code, self.detail, self.server_time = status, code, detail, server_time


class Retired(Refused):
    """The coordinator has retired this node; there is nothing left to do."""


class WrongContent(Exception):
    """A file came with other contents than its digest names."""


def check_address(url: str) -> str:
    """The coordinator's address without a slash at its end. Raises: BadAddress."""
    text = url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise BadAddress(f"{plain_text.tamed(url, 200)!r} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not host or re.search(r"[^!-~]", text):
        raise BadAddress(f"found {plain_text.tamed(url, 200)!r}; an address reads https://grid.example.org")
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        raise BadAddress(f"found {plain_text.tamed(url, 200)!r}; accepted is scheme, host and port alone")
    return text


class Coordinator:
    """One coordinator as seen by one node. Each attempt at a request is signed anew."""

    def __init__(self, url: str, key: keys.PrivateKey, node_id: int | None = None) -> None:
        """Raises: BadAddress."""
        self.url = check_address(url)
        self._key = key
        self._node_id = node_id
        self._ahead = timedelta(0)
        self._away_since: float | None = None
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=IDLE_SECONDS),
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    def now(self) -> datetime:
        """The time as the coordinator last told it, or this machine's while the two agree."""
        return clock.now() + self._ahead

    async def persist(self, act: Callable[[], Awaitable[_T]]) -> _T:
        """Do `act` until the coordinator answers, with growing, jittered waits and as it asks for. Raises: Refused."""
        backoff = Backoff(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS)
        while True:
            try:
                return await act()
            except Unreachable as error:
                wait = backoff.wait_seconds(error.retry_after_seconds)
            await asyncio.sleep(wait)

    async def join(self, request: messages.JoinRequest) -> messages.JoinReply:
        """Exchange a join token for an identity. Raises: Refused, Unreachable."""
        return await self._message("POST", "/nodes/join", request, messages.JoinReply, is_signed=False)

    async def send(
        self,
        method: str,
        path: str,
        request: messages.Message | None,
        reply: type[AnyReply],
        *,
        within_seconds: float | None = None,
    ) -> AnyReply:
        """A signed request with a message or without a body; waits `within_seconds`. Raises: Refused, Unreachable."""
        return await self._message(method, path, request, reply, within_seconds=within_seconds)

    async def upload(self, path: str, file: Path) -> messages.BlobRef:
        """Stream a file; its digest is signed. Raises: Refused, Unreachable, OSError."""
        digest, size = await asyncio.to_thread(digest_of, file)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with self._outage_noted():
            async with self._answer("PUT", path, lambda: _chunks(file), headers, digest=digest) as answer:
                return _parse(await _read(answer, ANSWER_BYTES), messages.BlobRef)

    async def download(self, digest: str, target: Path, size_bytes: int) -> None:
        """Fetch a file by digest into `target`, whole and verified, or not at all.

        Raises: WrongContent, Refused, Unreachable, OSError.
        """
        draft = target.with_name(f".{target.name}.draft")
        try:
            with self._outage_noted():
                async with self._answer("GET", f"/node/blobs/{digest}", lambda: b"", {}) as answer:
                    await _save(answer, draft, size_bytes)
            found, size = await asyncio.to_thread(digest_of, draft)
            if found != digest or size != size_bytes:
                raise WrongContent(f"asked for {digest} of {size_bytes} bytes; {found} of {size} came")
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)

    def socket(self) -> tuple[str, dict[str, str]]:
        """Address and signed headers of the wake-up socket."""
        url = "ws" + self.url.removeprefix("http") + "/ws/node"
        return url, self._signature("GET", url, b"")

    async def _message(
        self,
        method: str,
        path: str,
        request: messages.Message | None,
        reply: type[AnyReply],
        *,
        is_signed: bool = True,
        within_seconds: float | None = None,
    ) -> AnyReply:
        patience = MESSAGE_SECONDS if within_seconds is None else within_seconds
        body = b"" if request is None else request.model_dump_json().encode()
        headers = {"Content-Type": "application/json"} if body else {}
        with self._outage_noted():
            try:
                async with asyncio.timeout(patience):
                    async with self._answer(method, path, lambda: body, headers, is_signed=is_signed) as answer:
                        return _parse(await _read(answer, ANSWER_BYTES), reply)
            except TimeoutError as error:
                raise Unreachable(f"{self.url} sent no whole answer within {patience:g} s") from error

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        body: Callable[[], bytes | AsyncIterator[bytes]],
        headers: dict[str, str],
        *,
        digest: str | None = None,
        is_signed: bool = True,
    ) -> AsyncIterator[httpx.Response]:
        """The successful answer to one request; asked once more when only its time or nonce was refused."""
        url = f"{self.url}{API}{path}"
        try:
            for is_last in (False, True):
                content = body()
                signed = content if isinstance(content, bytes) else (digest or "")
                extra = headers | (self._signature(method, url, signed) if is_signed else {})
                request = self._http.build_request(method, url, content=content or None, headers=extra)
                answer = await self._http.send(request, stream=True)
                try:
                    if answer.is_success:
                        yield answer
                        return
                    failure = await _failure(answer, self.now())
                finally:
                    await answer.aclose()
                if is_last or not self._may_sign_anew(failure):
                    raise failure
        except httpx.TransportError as error:
            raise Unreachable(f"{self.url} does not answer ({type(error).__name__}: {error})") from error

    def _signature(self, method: str, url: str, body: bytes | str) -> dict[str, str]:
        return http_signatures.sign_request(
            method=method,
            url=url,
            body=body,
            private=self._key,
            key_id=str(self._node_id),
            created=self.now(),
            nonce=http_signatures.new_nonce(),
        )

    def _may_sign_anew(self, failure: Exception) -> bool:
        """Whether another signature may do; takes over the coordinator's time where this clock is wrong."""
        if not isinstance(failure, Refused) or failure.code not in SIGN_ANEW_CODES:
            return False
        if failure.code in CLOCK_CODES:
            if failure.server_time is None or abs(failure.server_time - clock.now()) > LARGEST_SKEW:
                return False
            self._ahead = failure.server_time - clock.now()
            logger.warning("this machine's clock is off by %s; signing by the coordinator's", -self._ahead)
        return True

    @contextmanager
    def _outage_noted(self) -> Iterator[None]:
        """One line when the coordinator goes away and one when it is back, however many requests meet it."""
        try:
            yield
        except Unreachable as error:
            if self._away_since is None:
                self._away_since = time.monotonic()
                logger.warning("the coordinator is away, trying on: %s", error)
            raise
        except Refused:
            self._note_return()
            raise
        self._note_return()

    def _note_return(self) -> None:
        if self._away_since is not None:
            logger.info("the coordinator is back after %.0f s", time.monotonic() - self._away_since)
            self._away_since = None


def digest_of(path: Path) -> tuple[str, int]:
    """Digest and size of a file. Raises: OSError."""
    with path.open("rb") as file:
        return digests.of_chunks(iter(lambda: file.read(CHUNK_BYTES), b""))


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


async def _read(answer: httpx.Response, limit_bytes: int) -> bytes:
    """The body as it was sent. Raises: Unreachable when it is longer than any sensible answer."""
    body = bytearray()
    async for chunk in answer.aiter_raw(CHUNK_BYTES):
        body += chunk
        if len(body) > limit_bytes:
            raise Unreachable(f"the answer is longer than {limit_bytes} bytes")
    return bytes(body)


async def _save(answer: httpx.Response, draft: Path, size_bytes: int) -> None:
    announced = answer.headers.get("content-length", "")
    if announced.isdigit() and int(announced) != size_bytes:
        raise WrongContent(f"{announced} bytes are coming instead of the {size_bytes} announced")
    with draft.open("wb") as file:
        size = 0
        async for chunk in answer.aiter_raw(CHUNK_BYTES):
            size += len(chunk)
            if size > size_bytes:
                raise WrongContent(f"more than the {size_bytes} bytes announced are coming")
            file.write(chunk)


def _parse(content: bytes, reply: type[AnyReply]) -> AnyReply:
    try:
        return reply.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the body"
        text = plain_text.tamed(f"{where}: {fault['msg']}", 300, keeps_lines=False)
        raise Unreachable(f"the answer is no {reply.__name__} ({text})") from error


async def _failure(answer: httpx.Response, now: datetime) -> Exception:
    """What an unsuccessful answer means. Only a typed problem is a refusal; all else is somebody out of order."""
    status = answer.status_code
    retry_after = _retry_after_seconds(answer.headers.get("retry-after", ""), now)
    if status >= 500 or status in (408, 425, 429):
        return Unreachable(f"{answer.url} answered {status}", retry_after)
    if answer.is_redirect:
        target = plain_text.tamed(answer.headers.get("location", ""), 200, keeps_lines=False)
        return Unreachable(f"{answer.url} redirects to {target}; join with the address that answers itself")
    problem = _problem(await _read(answer, PROBLEM_BYTES))
    code = problem.get("code")
    if not isinstance(code, str) or _CODE.fullmatch(code) is None:
        if status == 413:
            return Refused(status, "http_413", "something on the way takes no body of this size")
        return Unreachable(f"{answer.url} answered {status} without a typed reason; is a coordinator there?")
    detail = plain_text.tamed(str(problem.get("detail", "")), 500, keeps_lines=False)
    kind = Retired if code == "node_retired" else Refused
    return kind(status, code, detail, _aware(problem.get("server_time")))


def _problem(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _aware(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _retry_after_seconds(text: str, now: datetime) -> float | None:
    """RFC 9110 10.2.3: seconds, or a date."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
