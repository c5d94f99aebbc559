"""What members and their programs call: submit a job, follow it, fetch its outputs, cancel it."""

from dataclasses import asdict

from django.http import FileResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication as accounts
from common import bodies, clock, errors, paging
from common.openapi import problems, query, reply
from opengrid import messages
from registry import blobs
from scheduler import queries, serializers
from scheduler.models import Job
from scheduler.services import jobs

OUTPUTS_PAGE = 1000
"""More than one task may have, because a page ends with a whole task."""


def _job(request: Request, job_id: int) -> Job:
    membership = accounts.require(request, "jobs.view_own")
    return queries.job_for(membership, job_id, sees_all=accounts.allows(request, "jobs.view_all"))


class JobsView(APIView):
    """A member's jobs."""

    @extend_schema(
        operation_id="job_submit",
        request=messages.JobSpec,
        responses={
            202: OpenApiResponse(serializers.SubmitReply, "Taken in; the worst case is held."),
            **problems(400, 401, 403, 404, 409, 413, 415, 422),
        },
        tags=["jobs"],
    )
    @accounts.once()
    def post(self, request: Request) -> Response:
        """Submit a job. Refused at once if no node could ever run it, with the constraint that excludes them."""
        job = jobs.submit_job(
            membership=accounts.require(request, "jobs.submit"),
            spec=bodies.parse(request, messages.JobSpec),
            idempotency_key=request.headers.get("Idempotency-Key"),
            now=clock.database_now(),
        )
        return reply(serializers.submitted(job), status=202)

    @extend_schema(
        operation_id="jobs_list",
        parameters=query(serializers.JobsQuery),
        responses={200: serializers.JobListReply, **problems(401, 403, 422)},
        tags=["jobs"],
    )
    def get(self, request: Request) -> Response:
        """Jobs you may see, newest first."""
        membership = accounts.require(request, "jobs.view_own")
        wanted = bodies.parse_query(request, serializers.JobsQuery)
        found = queries.jobs_matching(
            membership,
            sees_all=accounts.allows(request, "jobs.view_all"),
            state=wanted.state,
            search=wanted.search,
            is_own=paging.is_true(wanted.own),
        )
        page, more = paging.newest_first(found, wanted)
        return reply(serializers.JobListReply(jobs=[serializers.job_line(job) for job in page], next=more))


class EstimateView(APIView):
    """A job that is only thought of."""

    @extend_schema(
        operation_id="job_estimate",
        request=messages.JobSpec,
        responses={200: serializers.EstimateReply, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
        tags=["jobs"],
    )
    @accounts.once()
    def post(self, request: Request) -> Response:
        """Check a job as submitting it would, and say what it would hold; nothing is submitted."""
        membership = accounts.require(request, "jobs.submit")
        estimate = jobs.estimate_job(membership=membership, spec=bodies.parse(request, messages.JobSpec))
        return reply(serializers.EstimateReply(**asdict(estimate)))


class JobView(APIView):
    """One job."""

    @extend_schema(
        operation_id="job_retrieve", responses={200: serializers.JobView, **problems(401, 403, 404)}, tags=["jobs"]
    )
    def get(self, request: Request, job_id: int) -> Response:
        """A job with progress, bill, and why it waits."""
        return reply(serializers.job_view(_job(request, job_id)))


class CancelView(APIView):
    """Stop a job."""

    @extend_schema(
        operation_id="job_cancel",
        request=None,
        responses={200: serializers.JobView, **problems(400, 401, 403, 404, 409, 413, 422)},
        tags=["jobs"],
    )
    @accounts.once()
    def post(self, request: Request, job_id: int) -> Response:
        """Cancel what nobody has begun; what is out is finished and paid."""
        membership = accounts.require(request, "jobs.submit")
        job = queries.job_for(membership, job_id, sees_all=accounts.allows(request, "jobs.view_all"))
        job = jobs.cancel_job(job=job, by=membership, now=clock.database_now())
        return reply(serializers.job_view(job))


class AttemptsView(APIView):
    """Who ran what."""

    @extend_schema(
        operation_id="job_attempts",
        parameters=query(paging.PageQuery),
        responses={200: serializers.AttemptListReply, **problems(401, 403, 404, 422)},
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: int) -> Response:
        """Attempts of a job with their signed receipts, newest first."""
        job, wanted = _job(request, job_id), bodies.parse_query(request, paging.PageQuery)
        page, more = paging.newest_first(queries.attempts_of(job), wanted)
        views = [serializers.attempt_view(attempt) for attempt in page]
        return reply(serializers.AttemptListReply(attempts=views, next=more))


class OutputsView(APIView):
    """Results of a job."""

    @extend_schema(
        operation_id="job_outputs",
        parameters=query(serializers.OutputsQuery),
        responses={200: serializers.OutputListReply, **problems(401, 403, 404, 422)},
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: int) -> Response:
        """Files of the accepted results, by task index and name."""
        found, wanted = (
            queries.accepted_outputs(_job(request, job_id)),
            bodies.parse_query(request, serializers.OutputsQuery),
        )
        if wanted.cursor is not None:
            found = found.filter(attempt__task__index__gt=int(wanted.cursor))
        if wanted.name is not None:
            found = found.filter(name=wanted.name)
        page, more = list(found[: OUTPUTS_PAGE + 1]), None
        if len(page) > OUTPUTS_PAGE:
            page = [output for output in page if output.attempt.task.index < page[-1].attempt.task.index]
            more = page[-1].attempt.task.index
        views = [
            serializers.OutputView(
                task_index=output.attempt.task.index,
                row_start=output.attempt.task.row_start,
                row_stop=output.attempt.task.row_stop,
                name=output.name,
                digest=output.blob.digest,
                size_bytes=output.blob.size_bytes,
            )
            for output in page
        ]
        return reply(serializers.OutputListReply(outputs=views, next=str(more) if more is not None else None))


class OutputFileView(APIView):
    """One file of an accepted result."""

    @extend_schema(
        operation_id="job_output_file",
        responses={(200, "application/octet-stream"): bytes, **problems(401, 403, 404)},
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: int, task_index: int, name: str) -> FileResponse:
        """Download one output file."""
        found = queries.accepted_outputs(_job(request, job_id))
        output = found.filter(attempt__task__index=task_index, name=name).first()
        if output is None:
            raise errors.NotFound(f"task {task_index} has no accepted output {name!r}")
        return blobs.file_response(output.blob.digest)


class EventsView(APIView):
    """A job's timeline."""

    @extend_schema(
        operation_id="job_events",
        parameters=query(paging.PageQuery),
        responses={200: serializers.EventListReply, **problems(401, 403, 404, 422)},
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: int) -> Response:
        """The steps of the job with their typed reasons, newest first."""
        job, wanted = _job(request, job_id), bodies.parse_query(request, paging.PageQuery)
        page, more = paging.newest_first(job.events.select_related("task"), wanted)
        return reply(serializers.EventListReply(events=[serializers.event_view(event) for event in page], next=more))
