"""Addresses of the scheduler below /api/v1/."""

from django.urls import path

from scheduler.api import agent, members

urlpatterns = [
    path("node/heartbeat", agent.HeartbeatView.as_view(), name="node-heartbeat"),
    path("node/offer", agent.OfferView.as_view(), name="node-offer"),
    path("node/claim", agent.ClaimView.as_view(), name="node-claim"),
    path("node/blobs/<str:digest>", agent.NodeBlobView.as_view(), name="node-blob"),
    path(
        "node/attempts/<int:attempt_id>/<int:token>/outputs/<str:name>",
        agent.OutputView.as_view(),
        name="node-output",
    ),
    path("node/results", agent.ResultsView.as_view(), name="node-results"),
    path("node/attempts/<int:attempt_id>/result", agent.ResultView.as_view(), name="node-result"),
    path("node/attempts/<int:attempt_id>/failure", agent.FailureView.as_view(), name="node-failure"),
    path("jobs", members.JobsView.as_view(), name="jobs-api"),
    path("jobs/estimate", members.EstimateView.as_view(), name="job-estimate-api"),
    path("jobs/<int:job_id>", members.JobView.as_view(), name="job-api"),
    path("jobs/<int:job_id>/cancel", members.CancelView.as_view(), name="job-cancel-api"),
    path("jobs/<int:job_id>/attempts", members.AttemptsView.as_view(), name="job-attempts-api"),
    path("jobs/<int:job_id>/outputs", members.OutputsView.as_view(), name="job-outputs-api"),
    path(
        "jobs/<int:job_id>/outputs/<int:task_index>/<str:name>",
        members.OutputFileView.as_view(),
        name="job-output-file-api",
    ),
    path("jobs/<int:job_id>/events", members.EventsView.as_view(), name="job-events-api"),
]
