"""What the transfers of a statement were for, as things that a page can link to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Q

from accounts.models import Membership
from dashboard.core import places
from dashboard.queries.viewer import Viewer
from ledger import queries as ledger
from ledger.queries import StatementLine
from scheduler.models import Attempt, Task


@dataclass(frozen=True)
class Purpose:
    """One thing: kind is job, node, model, to, from, issue, order or lease; `name` where it has one."""

    kind: str
    number: int
    name: str = ""


@dataclass
class Purposes:
    """By the keys of transfers: what to link to, and the job that each is about, if any."""

    of: dict[str, list[Purpose]] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)


def purposes(viewer: Viewer, rows: Sequence[StatementLine]) -> Purposes:
    """What the lines of the viewer's statement were for. At most four queries, none for what no line is about.

    A job is there to be linked only where the viewer may see it; what a node or a model earned is linked to those.
    """
    found = Purposes()
    subjects = {row.key: place for row in rows if (place := places.subject(row.key))}
    for key, place in subjects.items():
        if place.kind == "job":
            found.jobs[key] = place.number
        if place.kind in ("job", "issue", "order", "lease"):
            found.of[key] = [Purpose(place.kind, place.number)]
    _tasks(viewer, {key: place.number for key, place in subjects.items() if place.kind == "task"}, found)
    _partners(viewer, {key: place.number for key, place in subjects.items() if place.kind == "send"}, found)
    return found


def _tasks(viewer: Viewer, task_of: Mapping[str, int], found: Purposes) -> None:
    """Who runs a node for a task, or published its model, was paid for that; others see the job."""
    if not task_of:
        return
    tasks = {
        task.pk: task
        for task in Task.objects.filter(pk__in=task_of.values()).select_related("job__model_version__model")
    }
    nodes = _own_nodes(viewer, tasks)
    sees_all = viewer.may("jobs.view_all")
    for key, number in task_of.items():
        if number not in tasks:
            continue
        job, version = tasks[number].job, tasks[number].job.model_version
        found.jobs[key] = job.pk
        things = [Purpose("node", node, name) for node, name in nodes.get(number, ())]
        if version is not None and version.model.publisher_id == viewer.membership.pk:
            things.append(Purpose("model", version.pk, str(version)))
        if sees_all or job.submitter_id == viewer.membership.pk:
            things.append(Purpose("job", job.pk))
        found.of[key] = things


def _own_nodes(viewer: Viewer, tasks: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
    """Task -> the nodes of the viewer, or in which they have a share, whose results were accepted."""
    own = Q(node__operator=viewer.membership) | Q(node__shares__owner=viewer.membership)
    rows = (
        Attempt.objects.filter(own, task__in=tasks, state=Attempt.State.ACCEPTED)
        .order_by("task_id", "node_id")
        .values_list("task_id", "node_id", "node__name")
        .distinct()
    )
    found: dict[int, list[tuple[int, str]]] = {}
    for task, node, name in rows:
        found.setdefault(task, []).append((node, name))
    return found


def _partners(viewer: Viewer, sender_of: Mapping[str, int], found: Purposes) -> None:
    """Who sent, or to whom it went."""
    if not sender_of:
        return
    others = {
        key: place.number
        for key, sides in ledger.other_sides(viewer.membership.wallet, list(sender_of)).items()
        for place in map(places.place, sides)
        if place.kind == "member"
    }
    people = (
        Membership.objects.filter(cooperative=viewer.cooperative_id).select_related("user").in_bulk(others.values())
    )
    for key, number in others.items():
        if number in people:
            way = "to" if sender_of[key] == viewer.membership.pk else "from"
            found.of[key] = [Purpose(way, number, str(people[number].user))]
