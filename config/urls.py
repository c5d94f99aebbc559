"""Where every address leads: pages, accounts, /api/v1. Health is answered before (config.health)."""

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts.urls import api_urlpatterns as accounts_api
from dashboard.admin import console
from dashboard.urls import api_urlpatterns as dashboard_api

api_v1: list[URLPattern | URLResolver] = [
    path("", include(accounts_api)),
    path("", include("nodes.urls")),
    path("", include("registry.urls")),
    path("", include("scheduler.urls")),
    path("", include(dashboard_api)),
    path("openapi.json", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api:schema"), name="docs"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include((api_v1, "api"))),
    path("account/", include("allauth.urls")),
    path("console/", console.urls),
    path("", include("accounts.urls")),
    path("", include("dashboard.urls")),
]

handler400 = "config.failures.bad_request"
handler404 = "config.failures.not_found"
handler500 = "config.failures.server_error"
