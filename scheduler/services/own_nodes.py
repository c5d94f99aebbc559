"""An owner's jobs on the owner's own nodes: no lease, no price, no evidence, no revenue.

Such a task is done with one execution, whatever assurance the job buys: nobody checks the owner for
the owner. The publisher's royalty is paid as always.
"""

from datetime import datetime, timedelta

from marketplace import queries as market_queries
from marketplace import services as market
from marketplace.core import fit
from nodes import queries as nodes
from nodes.models import Node
from scheduler import queries
from scheduler.models import Attempt, Task
from scheduler.services import capacity


def claim(node: Node, room: int, *, grace_seconds: int, now: datetime) -> list[int]:
    """Hand the owner's own tasks to up to `room` unsold lots of the node. The caller holds the node's lock.

    Returns the ids of the attempts.
    """
    if room <= 0:
        return []
    room = min(room, queries.unsold_lots(node))
    if room <= 0:
        return []
    features = market_queries.features_of(node)
    able = [job.pk for job in queries.jobs_of_owner(node) if fit.fits(capacity.needs_of(job.request), features)]
    if not able:
        return []
    # There is a book since the first job came. To open one here would take the cooperative's lock after the node's.
    lot_milli = market.book_for(node.cooperative).resource_class.lot_milli
    found = queries.untouched_tasks(node).filter(job__in=able).select_related("job")
    attempts = []
    for task in found.select_for_update(of=("self",), skip_locked=True)[:room]:
        task.claims += 1
        task.open_executions, task.bought_left, task.wanted_results = 0, 0, 1
        task.save(update_fields=["claims", "open_executions", "bought_left", "wanted_results"])
        attempts.append(
            Attempt(
                task=task,
                node=node,
                owner_key=nodes.execution_owner(node),
                token=task.claims,
                purpose=Attempt.Purpose.OWN,
                price_micro=0,
                lot_milli=lot_milli,
                deadline_at=now + timedelta(seconds=task.job.max_seconds + grace_seconds),
            )
        )
    return [attempt.pk for attempt in Attempt.objects.bulk_create(attempts)]


def give_back(task: Task) -> None:
    """The owner's node lost the task: it is anybody's again, with the checking that the job buys."""
    executions = task.job.executions
    task.wanted_results, task.open_executions, task.bought_left = executions, executions, executions
    task.save(update_fields=["wanted_results", "open_executions", "bought_left"])
