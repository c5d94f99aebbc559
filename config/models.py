"""What the processes of an installation write down about themselves, for the watchdog."""

from django.db import models


class ProcessProgress(models.Model):
    """The last moment a kind of process did something. One row each, written every few seconds."""

    class Component(models.TextChoices):
        WORKER = "WORKER"
        BEAT = "BEAT"

    component = models.CharField(max_length=20, primary_key=True, choices=Component)
    progressed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.CheckConstraint(
                name="processprogress_component_is_known",
                condition=models.Q(component__in=("WORKER", "BEAT")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.component} {self.progressed_at}"
