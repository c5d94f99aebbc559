"""What beat runs for the ledger."""

import logging
from typing import Any

from celery import shared_task

from ledger import services

logger = logging.getLogger(__name__)


@shared_task(name="ledger.tasks.project_balances")
def project_balances(**_: Any) -> None:
    """Fold finished postings into the projections."""
    services.project_balances()


@shared_task(name="ledger.tasks.check_ledger")
def check_ledger(**_: Any) -> None:
    """Check the books; a difference freezes payouts and is logged."""
    for difference in services.check_ledger():
        logger.error("check_ledger: %s", difference)
