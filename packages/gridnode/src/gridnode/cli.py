"""The operator's commands: join, run, doctor, status, drain, resume, retire."""

import asyncio
import logging
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from pydantic import ValidationError

from gridnode import __version__, capabilities, client, home, inventory
from gridnode.agent import Agent, Settings
from gridnode.client import Coordinator, Refused, Retired, Unreachable
from gridnode.home import Home, Identity
from gridnode.runtime import RuntimeUnavailable
from gridnode.sandbox.spec import SandboxUnavailable
from opengrid import keys, messages
from opengrid.errors import OpengridError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The node agent of the open grid: join a coordinator, prove the sandbox, run tasks, earn.",
    epilog="`gridnode join URL --token TOKEN --run` is all that a new machine needs.",
)


class BadInput(ValueError):
    """What was typed cannot be used."""


EXPECTED = (
    BadInput,
    Refused,
    Unreachable,
    client.BadAddress,
    home.NotJoined,
    home.AlreadyJoined,
    home.HomeUnusable,
    SandboxUnavailable,
    RuntimeUnavailable,
    OpengridError,
)

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The agent's folder: key, state, cache. Default: $GRIDNODE_HOME or ~/.gridnode."),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit-milli", min=1, help="Sell at most this much; 1000 is one core.")
]
PriceOption = Annotated[
    int | None,
    typer.Option("--price-micro", min=0, help="Micro-credits per core-hour; never below the owner's floor price."),
]
RuntimeOption = Annotated[
    Path | None, typer.Option("--runtime-root", help="Where the read-only runtime that jobs see is kept.")
]


def _home(folder: Path | None) -> Home:
    return Home(folder or home.default_folder())


@app.command()
def join(
    url: Annotated[str, typer.Argument(help="The coordinator's address, such as https://grid.example.org.")],
    token: Annotated[str, typer.Option(help="The one-time join token from the 'add a node' page.")],
    name: Annotated[str, typer.Option(help="What this machine is called on the pages; default: its host name.")] = "",
    folder: HomeOption = None,
    start: Annotated[bool, typer.Option("--run", help="Go on with `run` at once.")] = False,
    limit_milli: LimitOption = None,
    price_micro: PriceOption = None,
    runtime_root: RuntimeOption = None,
) -> None:
    """Make this machine a node: its key is made here and never leaves."""
    place = _home(folder)
    url = client.check_address(url)
    if urlsplit(url).scheme == "http" and not _is_local(url):
        typer.echo("gridnode: warning: without https anybody on the way can read the token and answer", err=True)
    identity = asyncio.run(_join(place, url, token.strip(), name.strip()))
    again = "" if start else f"; `gridnode run{f' --home {place.folder}' if folder else ''}` starts it"
    typer.echo(f"joined {identity.cooperative} as node {identity.node_id}{again}")
    if start:
        _run(place, Settings(limit_milli, price_micro, runtime_root))


async def _join(place: Home, url: str, token: str, name: str) -> Identity:
    place.require_free_for(url)
    key = place.key()
    try:
        request = messages.JoinRequest(
            token=token,
            public_key=key.public_text,
            proof=keys.join_proof(key, token),
            name=name or _machine_name(),
            agent_version=__version__,
        )
    except ValidationError as error:
        field = error.errors(include_url=False)[0]["loc"][0]
        limit = {"token": "a join token has 20 to 200 characters", "name": "a name has 1 to 100 characters"}
        raise BadInput(f"the {field} cannot be used: {limit.get(str(field), error)}") from error
    coordinator = Coordinator(url, key)
    try:
        reply = await coordinator.join(request)
    finally:
        await coordinator.close()
    identity = Identity(
        url=url,
        node_id=reply.node_id,
        cooperative=reply.cooperative,
        heartbeat_seconds=reply.heartbeat_seconds,
        poll_seconds=reply.poll_seconds,
    )
    place.save_identity(identity)
    return identity


@app.command()
def run(
    folder: HomeOption = None,
    limit_milli: LimitOption = None,
    price_micro: PriceOption = None,
    runtime_root: RuntimeOption = None,
) -> None:
    """Prove the sandbox, measure, offer, and work until stopped.

    Ends with code 0 when it is stopped or the node is retired, with 1 and a sentence when it cannot work.
    """
    _run(_home(folder), Settings(limit_milli, price_micro, runtime_root))


def _run(place: Home, settings: Settings) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(work(Agent(place, settings)))


async def work(agent: Agent) -> None:
    """Run an agent until SIGTERM, SIGINT or SIGHUP; its jobs end with it. Raises: what ended it, if expected."""
    loop = asyncio.get_running_loop()
    life = asyncio.ensure_future(agent.run())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, agent.stop, life)
    try:
        await life
    except asyncio.CancelledError:
        typer.echo("stopped")
    except Retired as error:
        typer.echo(f"stopped: {error}")
    except ExceptionGroup as group:
        reason = _expected(group)
        if not isinstance(reason, Retired):
            raise reason from group
        typer.echo(f"stopped: {reason}")


def _expected(group: ExceptionGroup[Exception]) -> Exception:
    """The expected failure that ended the agent. Raises: the group itself if anything else is in it."""
    expected, others = group.split(EXPECTED)
    if expected is None or others is not None:
        raise group
    first: BaseException = expected
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, Exception)
    return first


@app.command()
def doctor(folder: HomeOption = None, runtime_root: RuntimeOption = None) -> None:
    """Say whether this machine can run tasks, and if not, what is missing. Needs no coordinator."""
    place = _home(folder)
    found = inventory.discover(place.folder)
    typer.echo(f"machine: {found.usable_milli_cores / 1000:g} cores, {found.memory_mib} MiB memory, {found.cpu_model}")
    typer.echo(f"disk: {found.disk_free_mib} MiB free at {place.folder}")
    typer.echo(f"gpus: {', '.join(gpu.name for gpu in found.gpus.devices) or f'none ({found.gpus.reason})'}")
    work_folder = Path(tempfile.mkdtemp(prefix="doctor-", dir=place.folder))
    work_folder.chmod(0o711)
    try:
        proved = capabilities.open_sandbox(work_folder, runtime_root)
        proved.sandbox.close()
    finally:
        shutil.rmtree(work_folder, ignore_errors=True)
    typer.echo(f"runtime: {proved.runtime.path} ({proved.runtime_digest})")
    for probe in proved.record.probes:
        typer.echo(f"sandbox held: {probe.name}: {probe.text}")
    kind = proved.record
    typer.echo(f"limits: memory by {kind.mem}, processes by {kind.pids}, cpu by {kind.cpu}, disk {kind.disk}")
    typer.echo("this machine can run tasks")


@app.command()
def status(folder: HomeOption = None) -> None:
    """What the coordinator says about this node."""
    _show(asyncio.run(_ask(_home(folder), "GET", "/node")))


@app.command()
def drain(folder: HomeOption = None) -> None:
    """Take no new work; what runs may finish."""
    _show(asyncio.run(_ask(_home(folder), "POST", "/node/drain")))


@app.command()
def resume(folder: HomeOption = None) -> None:
    """Take work again after `drain`."""
    _show(asyncio.run(_ask(_home(folder), "POST", "/node/resume")))


@app.command()
def retire(folder: HomeOption = None) -> None:
    """Leave for good; the key opens nothing afterwards and is put aside."""
    place = _home(folder)
    try:
        _show(asyncio.run(_ask(place, "POST", "/node/retire")))
    except Retired:
        typer.echo("this node had been retired before")
    place.forget()


async def _ask(place: Home, method: str, path: str) -> messages.CapabilityReply:
    identity = place.identity()
    coordinator = Coordinator(identity.url, place.key(), identity.node_id)
    try:
        return await coordinator.send(method, path, None, messages.CapabilityReply)
    finally:
        await coordinator.close()


def _show(reply: messages.CapabilityReply) -> None:
    typer.echo(f"state: {reply.node_state}{f' ({reply.reason})' if reply.reason else ''}")
    typer.echo(f"sellable: {reply.sellable_lots} lots, floor {reply.floor_price_micro} micro-credits per unit-hour")


def _machine_name() -> str:
    return socket.gethostname()[:100] or "node"


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def main() -> None:
    """Entry point: expected failures end with a sentence and code 1, the unexpected with a traceback."""
    logging.getLogger("gridnode").addHandler(logging.NullHandler())  # only `run` keeps a log
    try:
        app()
    except EXPECTED as error:
        typer.echo(f"gridnode: {error}", err=True)
        raise SystemExit(1) from error
