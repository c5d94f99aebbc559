"""The pages of docs/ that the platform itself points at: error codes, reasons, words. Open to everybody."""

from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET
from markdown_it import MarkdownIt
from markdown_it.token import Token

PAGES = ("errors", "reasons", "glossary")


@require_GET
def page(request: HttpRequest, name: str) -> HttpResponse:
    """One page of the documentation; its headings are anchors, such as /docs/errors#insufficient_funds."""
    if name not in PAGES:
        raise Http404
    title, body = _rendered(name)
    return render(request, "dashboard/docs.html", {"title": title, "body": body, "name": name, "pages": PAGES})


@cache
def _rendered(name: str) -> tuple[str, SafeString]:
    """Title and HTML of a page of ours; raw HTML in it would be shown as text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll"><table>')
    parser.add_render_rule("table_close", lambda *_: "</table></div>")
    tokens = parser.parse((Path(settings.BASE_DIR) / "docs" / f"{name}.md").read_text(encoding="utf-8"))
    title = ""
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            text = tokens[position + 1].content
            token.attrSet("id", text.strip("`").lower().replace(" ", "-"))
            title = title or text
        for link in token.children or []:
            _point_inside(link)
    return title, mark_safe(parser.renderer.render(tokens[3:], parser.options, {}))  # noqa: S308 our own file


def _point_inside(token: Token) -> None:
    """Links between pages lead to their addresses here."""
    href = str(token.attrGet("href") or "")
    name, _, anchor = href.partition("#")
    if name.removesuffix(".md") in PAGES:
        token.attrSet("href", f"/docs/{name.removesuffix('.md')}{'#' if anchor else ''}{anchor}")
