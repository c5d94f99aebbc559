"""Addresses of nodes below /api/v1/."""

from django.urls import path

from nodes import api

urlpatterns = [
    path("nodes", api.NodesView.as_view(), name="nodes"),
    path("nodes/join", api.JoinView.as_view(), name="node-join"),
    path("nodes/join-tokens", api.JoinTokensView.as_view(), name="join-tokens"),
    path("nodes/<int:node_id>", api.NodeDetailView.as_view(), name="node-detail"),
    path("node", api.OwnStatusView.as_view(), name="node-status"),
    path("node/capabilities", api.CapabilitiesView.as_view(), name="node-capabilities"),
    path("node/drain", api.DrainView.as_view(), name="node-drain"),
    path("node/resume", api.ResumeView.as_view(), name="node-resume"),
    path("node/retire", api.RetireView.as_view(), name="node-retire"),
]
