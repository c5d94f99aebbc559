"""Template words of the face: panels, numbers with units, times, ids, badges, reasons."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from common import figures
from dashboard import panels, reasons
from dashboard.core import places, quantities
from dashboard.queries.jobs import Step

SENTENCE = 24
"""Letters above which a cell holds a sentence."""

register = template.Library()

STATE_TABLES: Mapping[str, Mapping[str, reasons.Words]] = {
    "job": reasons.JOB_STATES,
    "task": reasons.TASK_STATES,
    "attempt": reasons.ATTEMPT_STATES,
    "node": reasons.NODE_STATES,
    "order": reasons.ORDER_STATES,
}


@register.simple_tag(takes_context=True)
def panel(context: template.Context, name: str, key: object) -> SafeString:
    """One live panel, rendered as the socket would render it."""
    return panels.render(name, str(key), context["frame"].viewer)


@register.filter
def amount(micro: int | None) -> SafeString:
    """Micro-credits with all six decimals, the last four quieter so that the eye finds the cents."""
    if micro is None:
        return SafeString("")
    sign, head, tail = quantities.credit_parts(micro)
    return format_html('<span class="amount">{}{}<small>{}</small></span>', sign, figures.localised(head), tail)


@register.filter
def signed(micro: int) -> SafeString:
    """Micro-credits with a sign in front either way."""
    css = "up" if micro > 0 else "down"
    return format_html('<span class="delta {}">{}{}</span>', css, "+" if micro > 0 else "", amount(micro))


@register.filter
def price(micro: int | None) -> str:
    """A price without its unit; the column or the words beside it say per what."""
    return "" if micro is None else figures.localised(quantities.price(micro))


@register.filter
def signed_price(micro: int) -> SafeString:
    """By how much a price went up or down."""
    css, sign = ("up", "+") if micro > 0 else ("down", quantities.MINUS)
    return format_html('<span class="delta {}">{}{}</span>', css, sign, figures.localised(quantities.price(abs(micro))))


@register.filter
def duration(milliseconds: int | None) -> str:
    """Milliseconds with a unit that fits."""
    return "" if milliseconds is None else figures.localised(quantities.duration(milliseconds))


@register.filter
def yes_no(value: bool) -> str:
    """Yes or no in words."""
    return str(_("yes") if value else _("no"))


@register.filter
def cell(value: object) -> object:
    """What stands in a cell of the console's tables: moments do not wrap, sentences get room."""
    if isinstance(value, datetime):
        written = formats.date_format(timezone.localtime(value), "SHORT_DATETIME_FORMAT")
        return format_html('<time datetime="{}">{}</time>', value.isoformat(), written)
    if isinstance(value, str) and not isinstance(value, SafeString) and len(value) > SENTENCE:
        return format_html('<span class="console-sentence">{}</span>', value)
    return value


@register.filter
def seconds(number: int) -> str:
    """Seconds with a unit that fits."""
    return quantities.duration(number * 1000) if number >= 60 else f"{number} s"


@register.filter
def short_digest(value: str) -> str:
    """A digest by its first letters."""
    return quantities.short_digest(value)


@register.simple_tag
def step_words(step: Step) -> str:
    """A step of a job's life in plain words."""
    named: dict[str, int | str] = {} if step.event.task is None else {"task": step.event.task.index}
    if step.node_name:
        named["node"] = step.node_name
    return reasons.step(step.event.reason, step.event.params | named)


@register.filter
def filesize(count: int) -> str:
    """Bytes with a binary unit."""
    return figures.localised(quantities.size(count))


@register.filter
def mebibytes(count: int) -> str:
    """MiB with a unit that fits."""
    return figures.localised(quantities.size(count * 1024 * 1024))


@register.filter
def percent(micro: int) -> str:
    """Millionths as percent."""
    return f"{figures.localised(quantities.percent_of_micro(micro))}{quantities.THIN_SPACE}%"


@register.filter
def basis_points(share: int) -> str:
    """Basis points as percent."""
    return f"{figures.localised(quantities.price(share * 10_000))}{quantities.THIN_SPACE}%"


@register.simple_tag
def ago(moment: datetime | None, focus: bool = True) -> SafeString | str:
    """How long ago (or until when) a moment is; the exact time on hover and, with `focus`, on focus."""
    if moment is None:
        return "\N{EN DASH}"
    age = (timezone.now() - moment).total_seconds()
    number, unit = quantities.span(age)
    form = _PAST[unit] if age >= 0 else _FUTURE[unit]
    return format_html(
        '<time datetime="{}" title="{}" data-relative{}>{}</time>',
        moment.isoformat(),
        exact(moment),
        SafeString(' tabindex="0"') if focus else "",
        _(form).replace("%n", str(number)),
    )


_PAST = {
    "s": gettext_noop("%n s ago"),
    "min": gettext_noop("%n min ago"),
    "h": gettext_noop("%n h ago"),
    "d": gettext_noop("%n d ago"),
}
_FUTURE = {
    "s": gettext_noop("in %n s"),
    "min": gettext_noop("in %n min"),
    "h": gettext_noop("in %n h"),
    "d": gettext_noop("in %n d"),
}


@register.filter
def exact(moment: datetime) -> str:
    """A moment to the second, with its zone."""
    local = timezone.localtime(moment)
    words = formats.date_format(local, _("j M Y, H:i:s"))
    return f"{words} {local.tzname()}"


@register.simple_tag(name="id")
def copyable(value: object, short: str = "") -> SafeString:
    """An id that can be copied whole; `short` is what is shown of it."""
    text = str(value)
    return format_html(
        '<span class="id"><code title="{}">{}</code><button type="button" class="copy" data-copy="{}" aria-label="{}">'
        '<svg aria-hidden="true" viewBox="0 0 24 24"><use href="{}#copy"></use></svg></button></span>',
        text,
        short or text,
        text,
        _("Copy %(what)s") % {"what": short or text},
        static("img/icons.svg"),
    )


@register.simple_tag
def digest(value: str) -> SafeString:
    """A digest by its first letters, copyable whole."""
    return copyable(value, quantities.short_digest(value))


@register.simple_tag
def badge(kind: str, state: str) -> SafeString:
    """A state in words, with its tone."""
    words = reasons.of_state(STATE_TABLES[kind], state)
    return format_html('<span class="badge {}">{}</span>', reasons.TONES.get(state, ""), words)


@register.filter
def state_words(state: str, kind: str) -> str:
    """A state in words alone."""
    return reasons.of_state(STATE_TABLES[kind], state)


@register.simple_tag
def reason(code: str, params: Mapping[str, Any] | None = None) -> str:
    """A typed reason in plain words; empty for none."""
    return reasons.sentence(code, params) if code else ""


@register.filter
def purpose(code: str) -> str:
    """Why an attempt was made."""
    return str(reasons.PURPOSES[code])


@register.filter
def dimension(code: str) -> str:
    """The name of a score."""
    return str(reasons.DIMENSIONS[code])


@register.filter
def dimension_help(code: str) -> str:
    """What a score says."""
    return str(reasons.DIMENSION_HELP[code])


@register.filter
def transfer_words(kind: str) -> str:
    """What a transfer was for."""
    words = reasons.TRANSFERS.get(kind.lower())
    return kind.replace("_", " ").capitalize() if words is None else str(words)


@register.filter
def fund(kind: str) -> str:
    """A cooperative's own account, or a hold, by name."""
    return str(reasons.FUNDS[kind])


@register.filter
def milli(number: int) -> str:
    """Thousandths as units."""
    return figures.localised(quantities.units(number))


@register.simple_tag
def subject(reference: str) -> SafeString | str:
    """What an order or a lease is for, with a link if it is a job."""
    place = places.subject(reference)
    if place is None or place.kind != "job":
        return reference or "\N{EN DASH}"
    words = _("Job %(id)s") % {"id": place.number}
    return format_html('<a href="{}">{}</a>', reverse("job", args=[place.number]), words)


@register.filter
def weight(number: int) -> str:
    """Thousandths of a whole fact."""
    return figures.localised(quantities.units(number))
