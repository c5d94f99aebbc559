"""Pools and their books, opened at first use."""

from django.db import transaction
from django.utils.translation import gettext_noop

from accounts.models import Cooperative
from common import errors, locks
from common.words import said as _
from marketplace.models import Book, Pool, ResourceClass

CPU = "cpu"


@transaction.atomic
def pool_of(cooperative: Cooperative) -> Pool:
    """The cooperative's own pool with its book, opened at first use."""
    locks.lock(locks.Space.COOPERATIVE, [cooperative.pk])
    pool, is_new = Pool.objects.get_or_create(cooperative=cooperative, name=cooperative.name)
    if is_new:
        pool.cooperatives.add(cooperative)
        resource_class, _ = ResourceClass.objects.get_or_create(
            code=CPU,
            defaults={"lot_milli": 1000, "description": gettext_noop("one reference core with 2 GiB of memory")},
        )
        Book.objects.create(pool=pool, resource_class=resource_class)
    return pool


def book_for(cooperative: Cooperative, resource_class: str = CPU) -> Book:
    """The book of a class in the cooperative's pool. Raises: errors.NotFound."""
    found = (
        Book.objects.select_related("resource_class", "pool")
        .filter(pool__cooperative=cooperative, resource_class__code=resource_class)
        .first()
    )
    if found is not None:
        return found
    pool = pool_of(cooperative)
    book = pool.books.select_related("resource_class").filter(resource_class__code=resource_class).first()
    if book is None:
        raise errors.NotFound(_("the pool trades no class %(resource_class)s", resource_class=repr(resource_class)))
    return book
