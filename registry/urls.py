"""Addresses of files and models below /api/v1/."""

from django.urls import path

from registry import api

urlpatterns = [
    path("blobs/<str:digest>", api.BlobView.as_view(), name="blob"),
    path("publisher-keys", api.PublisherKeysView.as_view(), name="publisher-keys"),
    path("models", api.ModelsView.as_view(), name="models"),
    path("models/versions", api.VersionsView.as_view(), name="model-versions"),
    path("models/versions/<int:version_id>", api.VersionView.as_view(), name="model-version"),
    path("models/versions/<int:version_id>/withdraw", api.WithdrawView.as_view(), name="model-version-withdraw"),
]
