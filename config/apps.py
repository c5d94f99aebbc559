"""The project package as an installed app."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from config import checks  # noqa: F401 - importing registers them


class ProjectConfig(AppConfig):
    """System checks, commands and the watchdog's table."""

    name = "config"

    def ready(self) -> None:
        """Make every app's tasks known by name, in web processes too: common.jobs looks them up."""
        autodiscover_modules("tasks")
