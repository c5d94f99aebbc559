"""Tasks run by machines, and the verdict on them."""

from common.clock import database_now
from scheduler.models import Task
from scheduler.services import capacity, verdicts
from tests.scheduler import world


def verify(task_id=None):
    """Reach the verdict on a task, on the only one where none is named."""
    task_id = task_id or Task.objects.get().pk
    return verdicts.verify_task(task_id=task_id, now=database_now())


def run(machine, answer=b"42", *, ms=1000, name="answer.txt"):
    """Claim one task and deliver."""
    (given,) = machine.claim()
    machine.deliver(given, answer, ms=ms, name=name)
    return given


def lease_for_a_third(job):
    """The lot for a third run is bought."""
    capacity.replenish(job_id=job.pk, now=database_now())
    world.tick(job.cooperative)


def funds(cooperative):
    """Addresses of the cooperative's treasury, reserve and assurance."""
    return [f"coop:{cooperative.pk}:{name}" for name in ("treasury", "reserve", "assurance")]
