"""Every section: shows its rows, exports them, stays inside the cooperative, and lets nobody edit."""

import csv
import io

import pytest

from accounts import services as accounts
from accounts.models import CreditIssue, JoinRequest, PolicyVersion, StewardAct, User
from dashboard.admin import console as site
from ledger import queries as ledger
from reputation.models import Evidence
from tests.dashboard import scenes

pytestmark = pytest.mark.django_db
NONSENSE = ("q=nothing-like-this", "q=%00", "p=0", "p=-5", "p=99999999999999999999999", "p=x", "o=1.2", "all=", "x=1")


@pytest.fixture
def rows(grid, bob, sam, alice, now):
    """One row for each section, of Sam's cooperative."""
    invitation, _token = accounts.invite(by=bob, roles=["MEMBER"], now=now)
    mia = User.objects.create_user("mia@example.org", "correct horse battery", display_name="Mia")
    asked = JoinRequest.objects.create(cooperative=sam.cooperative, user=mia, message="I have a machine")
    return {
        "membership": alice,
        "invitation": invitation,
        "joinrequest": asked,
        "node": grid.shed,
        "modelversion": grid.version,
        "policyversion": PolicyVersion.objects.get(),
        "creditissue": CreditIssue.objects.first(),
        "job": grid.job,
        "evidence": Evidence.objects.first(),
        "stewardact": StewardAct.objects.first(),
    }


def sections():
    return list(site._registry.values())


def test_every_section_lists_shows_and_exports_its_rows(console, rows):
    assert {section.opts.model_name for section in sections()} == set(rows)
    for section in sections():
        row = rows[section.opts.model_name]
        listed = console.get(section.address("changelist"))
        assert listed.status_code == 200
        assert section.address("change", row.pk) in listed.text, section
        assert console.get(section.address("change", row.pk)).status_code == 200
        exported = b"".join(console.get(section.address("csv")).streaming_content).decode()
        assert str(row.pk) in {line[0] for line in csv.reader(io.StringIO(exported))}, section


def test_filters_and_searches_answer_and_nonsense_is_harmless(console, rows):
    for section in sections():
        for query in NONSENSE:
            answer = console.get(f"{section.address('changelist')}?{query}", follow=True)
            assert answer.status_code == 200, (section, query)
    for address in (
        "/console/accounts/membership/?role=OPERATOR&left=no",
        "/console/accounts/invitation/?state=open",
        "/console/nodes/node/?state=PROBATION&tier=COMMUNITY&q=shed",
        "/console/registry/modelversion/?withdrawn=no",
        "/console/accounts/creditissue/?state__exact=ISSUED",
        "/console/scheduler/job/?q=alice@example.org",
        "/console/accounts/stewardact/?act=INVITE",
    ):
        assert console.get(address, follow=True).status_code == 200


def test_rows_of_another_cooperative_do_not_exist(console_of, rows, charlie, now):
    outsider = console_of(charlie)
    for section in sections():
        row = rows[section.opts.model_name]
        assert outsider.get(section.address("change", row.pk)).status_code == 404
        assert f'href="{section.address("change", row.pk)}"' not in outsider.get(section.address("changelist")).text
        for act in section.acts:
            if act.needs_row:
                assert outsider.post(section.address("act", row.pk, act.slug), {"reason": "x"}).status_code == 404


def test_nothing_can_be_added_changed_or_deleted(console, rows):
    before = ledger.trial_balance(), StewardAct.objects.count(), CreditIssue.objects.count()
    for section in sections():
        row = rows[section.opts.model_name]
        values = {name: getattr(row, name) for name in row.__dict__ if not name.startswith("_")}
        home, page = section.address("changelist"), section.address("change", row.pk)
        for address in (f"{home}add/", f"{page}delete/", f"{page}change/", f"{page}history/"):
            assert console.get(address).status_code == 404, address
            assert console.post(address, {"post": "yes"}).status_code == 404, address
        assert console.post(page, {"reason": "rewritten", "amount_micro": 1, "_save": "1"}).status_code == 405
        deleted = {"action": "delete_selected", "_selected_action": row.pk, "post": "yes", "index": "0"}
        assert console.post(home, deleted).status_code in (200, 302)
        row.refresh_from_db()
        assert {name: getattr(row, name) for name in values} == values, section
    assert (ledger.trial_balance(), StewardAct.objects.count(), CreditIssue.objects.count()) == before


def test_no_section_claims_a_right_to_edit(rf, sam):
    request = rf.get("/console/")
    request.steward = sam
    for section in sections():
        rights = section.has_add_permission(request), section.has_change_permission(request)
        assert (*rights, section.has_delete_permission(request)) == (False, False, False)


def test_the_list_continues_below_the_last_row(console, sam, alice):
    for number in range(60):
        accounts.set_roles(by=sam, membership=alice, roles=["MEMBER", "AUDITOR"] if number % 2 else ["OPERATOR"])
    newest = list(StewardAct.objects.order_by("-pk").values_list("pk", flat=True))

    first = console.get("/console/accounts/stewardact/")
    second = console.get(f"/console/accounts/stewardact/?p={newest[49]}")

    assert f"?p={newest[49]}" in first.text
    assert [f'/stewardact/{pk}/"' in first.text for pk in newest] == [True] * 50 + [False] * 10
    assert [f'/stewardact/{pk}/"' in second.text for pk in newest] == [False] * 50 + [True] * 10


def test_a_cell_that_looks_like_a_formula_is_text_in_the_export(console, bob, sam, alice, now):
    accounts.leave(membership=alice, by=sam, now=now, reason="=HYPERLINK(1)")

    exported = b"".join(console.get("/console/accounts/stewardact/export.csv").streaming_content).decode()

    assert ",'=HYPERLINK(1)," in exported


def test_a_dishonest_name_is_shown_as_text(console, bob, now):
    node = scenes.a_node(bob, now, name="<script>alert(1)</script>")

    for address in ("/console/nodes/node/", f"/console/nodes/node/{node.pk}/"):
        assert "<script>alert" not in console.get(address).text
