"""What members' programs call about people: who am I, members and roles, invitations, joining, tokens."""

import secrets

import pytest
from django.test import Client

from accounts import services as accounts
from accounts.core import roles
from accounts.models import ApiToken, Invitation, Membership, User
from common.clock import database_now

API = "/api/v1"
NEWCOMER = {
    "email": "nina@example.org",
    "password": "correct horse battery",
    "display_name": "Nina",
    "scopes": ["jobs:read", "jobs:write"],
}


def members_of(membership, rest=""):
    return f"{API}/cooperatives/{membership.cooperative_id}/members{rest}"


def invitations_of(membership, rest=""):
    return f"{API}/cooperatives/{membership.cooperative_id}/invitations{rest}"


def post(client, path, document, **headers):
    return client.post(path, document, "application/json", headers=headers)


def refusal(answer):
    return answer.status_code, answer.json()["code"]


@pytest.fixture
def token_of_now(bob):
    return accounts.invite(by=bob, roles=["MEMBER"], now=database_now())[1]


def test_a_program_learns_who_it_is_and_what_it_may(program, alice):
    found = program(alice, "jobs:read", "wallet:write").get(f"{API}/me").json()

    assert (found["email"], found["display_name"], found["acting_as"]) == ("alice@example.org", "Alice", alice.pk)
    [own] = found["memberships"]
    assert (own["cooperative"]["slug"], own["roles"], own["wallet"]) == ("riverside", ["MEMBER"], alice.wallet)
    assert found["permissions"] == ["jobs.view_own", "ledger.view_own", "market.view", "nodes.view", "wallet.send"]
    assert found["token"]["scopes"] == ["jobs:read", "wallet:write"]


def test_a_session_sees_all_of_its_memberships(signed_in, bob, charlie, now):
    _, token = accounts.invite(by=charlie, roles=["MEMBER"], now=now)
    accounts.accept_invitation(token=token, user=bob.user, now=now)

    found = signed_in(bob).get(f"{API}/me").json()

    assert {each["cooperative"]["slug"] for each in found["memberships"]} == {"riverside", "hillside"}
    assert found["token"] is None
    assert "policy.adopt" in found["permissions"]


def test_somebody_without_a_cooperative_is_told_so(signed_in, client, db):
    client.force_login(User.objects.create_user("lonely@example.org", "correct horse battery"))

    found = client.get(f"{API}/me").json()

    assert (found["memberships"], found["acting_as"], found["permissions"]) == ([], None, [])


def test_a_token_knows_its_own_cooperative_alone(program, bob, charlie, now):
    _, token = accounts.invite(by=charlie, roles=["MEMBER"], now=now)
    accounts.accept_invitation(token=token, user=bob.user, now=now)
    his = program(bob)

    assert [each["slug"] for each in his.get(f"{API}/cooperatives").json()["cooperatives"]] == ["riverside"]
    assert his.get(f"{API}/cooperatives/{bob.cooperative_id}").json()["policy_number"] == 1
    assert refusal(his.get(f"{API}/cooperatives/{charlie.cooperative_id}")) == (404, "not_found")
    assert refusal(his.get(members_of(charlie))) == (404, "not_found")


def test_ones_cooperatives_come_in_pages_first_joined_first(signed_in, bob, charlie, now):
    _, token = accounts.invite(by=charlie, roles=["MEMBER"], now=now)
    accounts.accept_invitation(token=token, user=bob.user, now=now)
    his, path = signed_in(bob), f"{API}/cooperatives"

    first = his.get(path, {"limit": "1"}).json()
    second = his.get(path, {"limit": "1", "cursor": first["next"]}).json()

    assert [each["slug"] for page in (first, second) for each in page["cooperatives"]] == ["riverside", "hillside"]
    assert second["next"] is None
    assert refusal(his.get(path, {"page": "2"})) == (422, "invalid_query")


def test_ones_cooperatives_take_as_many_queries_however_many_there_are(
    signed_in, bob, charlie, now, django_assert_num_queries
):
    his, path = signed_in(bob), f"{API}/cooperatives"
    his.get(path)
    with django_assert_num_queries(4) as one:
        his.get(path)
    _, token = accounts.invite(by=charlie, roles=["MEMBER"], now=now)
    accounts.accept_invitation(token=token, user=bob.user, now=now)

    with django_assert_num_queries(len(one)):
        assert len(his.get(path).json()["cooperatives"]) == 2


def test_members_come_in_pages_that_miss_and_repeat_nothing(program, bob, alice, olga, sam):
    his, found, cursor = program(bob), [], None
    for _ in range(2):
        page = his.get(members_of(bob), {"limit": "2"} | ({"cursor": cursor} if cursor else {})).json()
        found += [member["name"] for member in page["members"]]
        cursor = page["next"]

    assert found == ["Bob", "Alice", "Olga", "Sam"]
    assert cursor is None


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"search": "LI"}, ["Alice"]),
        ({"search": "example.org"}, []),
        ({"search": "%"}, []),
        ({"role": "STEWARD"}, ["Bob", "Sam"]),
        ({"role": "OPERATOR", "search": "o"}, ["Bob", "Olga"]),
    ],
)
def test_members_are_found_by_shown_name_and_role(program, bob, alice, olga, sam, query, names):
    found = program(bob).get(members_of(bob), query).json()["members"]

    assert [member["name"] for member in found] == names


@pytest.mark.parametrize(
    "query",
    [
        "role=KING",
        "surprise=1",
        "limit=0",
        "limit=201",
        "limit=1.5",
        "cursor=-1",
        "cursor=x",
        "limit=2&limit=3",
        "search=%00",
    ],
)
def test_a_query_that_makes_no_sense_is_refused(program, bob, query):
    assert refusal(program(bob).get(f"{members_of(bob)}?{query}")) == (422, "invalid_query")


@pytest.mark.parametrize("many", [1, 5])
def test_a_list_of_members_asks_as_many_questions_for_five_as_for_one(program, bob, many, django_assert_num_queries):
    for number in range(many):
        user = User.objects.create_user(f"m{number}@example.org", "correct horse battery")
        Membership.objects.create(cooperative=bob.cooperative, user=user, roles=["MEMBER"])
    his = program(bob)
    his.get(members_of(bob))

    with django_assert_num_queries(5):
        his.get(members_of(bob))


def test_a_steward_changes_the_roles_that_were_seen(signed_in, bob, alice):
    his, path = signed_in(bob), members_of(bob, f"/{alice.pk}")
    tag = his.get(path)["ETag"]

    answer = his.put(f"{path}/roles", {"roles": ["OPERATOR", "MEMBER"]}, "application/json", headers={"If-Match": tag})

    assert (answer.status_code, answer.json()["roles"]) == (200, ["MEMBER", "OPERATOR"])
    assert answer["ETag"] == answer.json()["version"] != tag


def test_roles_that_changed_meanwhile_are_not_overwritten(signed_in, bob, sam, alice):
    his, path = signed_in(bob), members_of(bob, f"/{alice.pk}")
    tag = his.get(path)["ETag"]
    accounts.set_roles(by=sam, membership=alice, roles=["AUDITOR"])

    for headers, expected in [
        ({"If-Match": tag}, (412, "changed_meanwhile")),
        ({}, (428, "version_required")),
        ({"If-Match": "x"}, (428, "version_required")),
    ]:
        answer = his.put(f"{path}/roles", {"roles": ["STEWARD"]}, "application/json", headers=headers)
        assert refusal(answer) == expected
    alice.refresh_from_db()
    assert alice.roles == ["AUDITOR"]


def test_no_token_changes_roles_or_ends_memberships(program, bob, alice):
    his, path = program(bob), members_of(bob, f"/{alice.pk}")

    answers = [
        his.put(f"{path}/roles", {"roles": ["STEWARD"]}, "application/json", headers={"If-Match": "*"}),
        his.delete(path),
    ]

    assert [refusal(answer) for answer in answers] == [(403, "scope_not_granted")] * 2
    alice.refresh_from_db()
    assert (alice.roles, alice.left_at) == (["MEMBER"], None)


def test_a_member_leaves_and_a_steward_ends_a_membership(client, bob, alice, olga):
    client.force_login(alice.user)
    assert refusal(client.delete(members_of(alice, f"/{olga.pk}"))) == (403, "role_required")
    assert client.delete(members_of(alice, f"/{alice.pk}")).status_code == 204

    client.force_login(bob.user)
    assert client.delete(members_of(bob, f"/{olga.pk}")).status_code == 204
    assert refusal(client.delete(members_of(bob, f"/{bob.pk}"))) == (409, "last_steward")
    assert Membership.objects.filter(left_at__isnull=True).get() == bob


def test_an_invitation_is_made_listed_and_taken_back(signed_in, bob):
    his = signed_in(bob)

    made = post(his, invitations_of(bob), {"roles": ["MEMBER"], "email": "nina@example.org"})
    listed = his.get(invitations_of(bob), {"state": "OPEN"})
    gone = his.delete(invitations_of(bob, f"/{made.json()['invitation']['id']}"))
    again = his.delete(invitations_of(bob, f"/{made.json()['invitation']['id']}"))

    assert made.status_code == 201
    assert made.json()["link"].endswith(f"/invite/{made.json()['token']}/")
    assert [each["email"] for each in listed.json()["invitations"]] == ["nina@example.org"]
    assert made.json()["token"] not in listed.content.decode()
    assert (gone.status_code, gone.json()["state"]) == (200, "REVOKED")
    assert refusal(again) == (409, "invitation_revoked")
    assert his.get(invitations_of(bob), {"state": "OPEN"}).json()["invitations"] == []


def test_invitations_are_listed_by_state(signed_in, bob, alice, now):
    used, token = accounts.invite(by=bob, roles=["MEMBER"], now=database_now())
    accounts.accept_invitation(
        token=token, user=accounts.create_person(email="n@example.org", password="x"), now=used.created_at
    )
    Invitation.objects.filter(pk=accounts.invite(by=bob, roles=["MEMBER"], now=now)[0].pk).update(expires_at=now)
    his = signed_in(bob)

    found = {
        state: len(his.get(invitations_of(bob), {"state": state}).json()["invitations"])
        for state in ("OPEN", "EXPIRED", "ACCEPTED", "REVOKED")
    }

    assert found == {"OPEN": 0, "EXPIRED": 1, "ACCEPTED": 1, "REVOKED": 0}


def test_no_token_invites_or_reads_invitations(program, bob):
    his = program(bob)

    assert refusal(post(his, invitations_of(bob), {"roles": ["MEMBER"]})) == (403, "scope_not_granted")
    assert refusal(his.get(invitations_of(bob))) == (403, "scope_not_granted")
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("who", ["alice", "charlie"])
def test_members_and_outsiders_invite_nobody(signed_in, request, bob, who):
    theirs = signed_in(request.getfixturevalue(who))
    expected = (403, "role_required") if who == "alice" else (404, "not_found")

    assert refusal(post(theirs, invitations_of(bob), {"roles": ["MEMBER"]})) == expected
    assert refusal(theirs.get(invitations_of(bob))) == expected
    assert not Invitation.objects.exists()


def test_a_person_with_an_account_joins_with_the_token(program, charlie, bob, token_of_now):
    answer = post(program(charlie), f"{API}/invitations/accept", {"token": token_of_now})

    assert answer.status_code == 201
    assert answer.json()["cooperative"]["id"] == bob.cooperative_id
    assert Membership.objects.get(user=charlie.user, cooperative=bob.cooperative).roles == ["MEMBER"]
    assert refusal(post(program(charlie), f"{API}/invitations/accept", {"token": token_of_now})) == (
        409,
        "invitation_used",
    )


def test_a_token_without_the_scope_joins_nothing(program, charlie, bob, token_of_now):
    answer = post(program(charlie, "cooperative:read"), f"{API}/invitations/accept", {"token": token_of_now})

    assert refusal(answer) == (403, "scope_not_granted")
    assert not Membership.objects.filter(user=charlie.user, cooperative=bob.cooperative).exists()


def test_a_newcomer_joins_without_a_browser_and_works_at_once(client, bob, token_of_now):
    answer = post(client, f"{API}/join", NEWCOMER | {"token": token_of_now})

    assert answer.status_code == 201
    assert answer.json()["membership"]["roles"] == ["MEMBER"]
    program = Client(headers={"Authorization": f"Bearer {answer.json()['api_token']}"})
    assert program.get(f"{API}/jobs").json() == {"jobs": [], "next": None}
    assert program.get(f"{API}/me").json()["email"] == "nina@example.org"


def test_the_newcomers_address_stays_unverified_so_that_a_login_asks_for_proof(client, bob, token_of_now, mailoutbox):
    email = f"nina-{secrets.token_hex(6)}@example.org"  # each address gets one mail in some minutes
    post(client, f"{API}/join", NEWCOMER | {"token": token_of_now, "email": email})

    client.post("/account/login/", {"login": email, "password": NEWCOMER["password"]})

    assert "_auth_user_id" not in client.session
    assert [mail.to for mail in mailoutbox] == [[email]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"token": "x" * 43}, (404, "not_found")),
        ({"password": "short"}, (422, "password_refused")),
        ({"password": "password1234"}, (422, "password_refused")),
        ({"email": "BOB@example.org"}, (409, "email_taken")),
        ({"email": "no address"}, (422, "invalid_message")),
        ({"display_name": " "}, (422, "invalid_message")),
        ({"display_name": "a\nb"}, (422, "invalid_message")),
        ({"scopes": ["root"]}, (422, "token_refused")),
        ({"scopes": []}, (422, "invalid_message")),
        ({"roles": ["STEWARD"]}, (422, "invalid_message")),
        ({"display_name": "\u0000"}, (400, "malformed_json")),
    ],
)
def test_a_newcomer_who_is_refused_leaves_nothing(client, bob, token_of_now, changes, expected):
    answer = post(client, f"{API}/join", NEWCOMER | {"token": token_of_now} | changes)

    assert refusal(answer) == expected
    assert User.objects.get() == bob.user
    assert not ApiToken.objects.exists()
    assert Invitation.objects.get().accepted_at is None


def test_an_invitation_for_one_address_asks_for_proof_of_it(client, bob):
    _, token = accounts.invite(by=bob, roles=["MEMBER"], email="nina@example.org", now=database_now())

    assert refusal(post(client, f"{API}/join", NEWCOMER | {"token": token})) == (403, "invitation_for_another")
    assert not User.objects.filter(email="nina@example.org").exists()


def test_tokens_are_made_listed_and_ended_in_a_session(signed_in, alice):
    hers = signed_in(alice)

    made = post(hers, f"{API}/tokens", {"name": "laptop", "scopes": ["jobs:read"]}).json()
    listed = hers.get(f"{API}/tokens")
    [line] = listed.json()["tokens"]
    program = Client(headers={"Authorization": f"Bearer {made['secret']}"})
    before = program.get(f"{API}/me").status_code
    ended = hers.delete(f"{API}/tokens/{line['id']}").status_code

    assert (line["name"], line["scopes"]) == ("laptop", ["jobs:read"])
    assert made["secret"] not in listed.content.decode()
    assert (before, ended, program.get(f"{API}/me").status_code) == (200, 204, 401)


def test_no_token_makes_or_ends_tokens(program, alice):
    hers = program(alice, *roles.SCOPES)
    own = ApiToken.objects.get()

    for answer in (
        hers.get(f"{API}/tokens"),
        post(hers, f"{API}/tokens", {"name": "more", "scopes": ["jobs:read"]}),
        hers.delete(f"{API}/tokens/{own.pk}"),
    ):
        assert refusal(answer) == (403, "scope_not_granted")
    assert ApiToken.objects.get().revoked_at is None


def test_somebody_elses_token_does_not_exist(signed_in, program, alice, bob):
    program(bob)

    assert refusal(signed_in(alice).delete(f"{API}/tokens/{ApiToken.objects.get().pk}")) == (404, "not_found")


def test_a_session_without_the_csrf_token_changes_nothing(alice):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice.user)

    answer = post(browser, f"{API}/tokens", {"name": "laptop", "scopes": ["jobs:read"]})

    assert answer.status_code == 403
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    "path", ["/me", "/tokens", "/cooperatives", "/cooperatives/1/members", "/cooperatives/1/invitations"]
)
def test_nobody_is_let_in_without_a_token(client, db, path):
    assert client.get(API + path).status_code == 401
