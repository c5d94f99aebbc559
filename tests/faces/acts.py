"""The primary action of each page, done as people do it, until its effect is seen."""

import re
import time

import numpy as np
from allauth.mfa.totp.internal import auth as totp
from playwright.sync_api import expect

from demo import digits
from tests.faces import running_demo, walk

SOON = 30_000
JOB_DONE = 120_000
expect.set_options(timeout=SOON)
INVITED, ASKING, DECLINED, TIDY = (f"{name}@example.org" for name in ("nora", "emil", "karl", "kim"))
LONG_PASSWORD = "a-windmill-on-the-hill"


def open_the_console(page, demo):
    """What a steward meets the first time: set a second factor up, confirm it, and be let in."""
    page.goto(f"{demo.url}/console/")
    if page.locator("main form [name=password]").count():  # what changes how one signs in asks again
        page.fill("main form [name=password]", running_demo.PASSWORD)
        page.click("main form button.primary")
    secret = page.locator("#authenticator_secret").inner_text()
    page.fill("main form [name=code]", _code(secret))
    page.click("main form button.primary")
    page.wait_for_url(lambda url: "activate" not in url)
    end = time.monotonic() + 2 * SOON / 1000
    while not page.goto(f"{demo.url}/console/").url.endswith("/console/"):
        assert time.monotonic() < end, page.url  # a code works once: the next one may take half a minute
        page.fill("main form [name=code]", _code(secret))
        page.click("main form button.primary")
        page.wait_for_timeout(1000)


def sign_up(page, demo, address):
    """From the form to be filled in to being signed in, by way of the mail."""
    page.fill("[name=email]", address)
    page.fill("[name=password1]", LONG_PASSWORD)
    page.fill("[name=password2]", LONG_PASSWORD)
    page.click("main form button[type=submit]")
    page.wait_for_url(re.compile("/account/confirm-email/"))
    page.goto(_link_in_mail(demo, address, r"http\S+/account/confirm-email/\S+"))
    page.click("main form button[type=submit]")
    if page.locator("[name=login]").count():
        page.fill("[name=login]", address)
        page.fill("[name=password]", LONG_PASSWORD)
        page.click("main form button[type=submit]")


def ask_to_join(page, demo, words):
    """A request that waits for the stewards."""
    page.goto(f"{demo.url}/join/riverside/")
    page.fill("main form [name=message]", words)
    page.click("main form button.primary")
    expect(page.locator("#waits")).to_be_visible()


def propose_credit(page, reason):
    """More than one steward may issue, on the open page of the cooperative."""
    form = page.locator("section[aria-labelledby=issue] form")
    form.locator("[name=amount_micro], [name=amount]").fill("25000")
    form.locator("[name=reason]").fill(reason)
    form.locator("button.primary").click()
    expect(page.locator("tr", has_text=reason)).to_contain_text("second steward")


def prepare_a_machine(page, name):
    """Terms become the command that lets a machine join; the page that adds a node is open."""
    page.fill("[name=node_name]", name)
    page.fill("[name=floor_price]", "0.7")
    page.click("main form button.primary")
    expect(page.locator("main code", has_text="gridnode join").first).to_be_visible()


def sign_in_from_the_front(visit, demo):
    page = visit(walk.ANYBODY).goto("/")
    page.click("main a.button.primary")
    expect(page).to_have_url(re.compile("/account/login/$"))


def ask_for_a_new_password(visit, demo):
    page = visit(walk.ANYBODY).goto("/account/password/reset/")
    page.fill("input[name=email]", "pavel@example.org")
    page.click("main form button[type=submit]")
    expect(page).to_have_url(re.compile("/account/password/reset/done/"))
    link = _link_in_mail(demo, "pavel@example.org", r"http\S+/account/password/reset/key/\S+")
    page.goto(link)
    expect(page.locator("input[name=password1]")).to_be_visible()


def start_a_job_from_home(visit, demo):
    page = visit(walk.MEMBER).goto("/")
    page.click("main a[href='/jobs/new/'] >> nth=0")
    expect(page).to_have_url(re.compile("/jobs/new/"))


def submit_a_job_and_check_a_receipt(visit, demo):
    page = visit(walk.MEMBER).goto("/jobs/new/")
    array = demo.folder / "scans.npy"
    np.save(array, digits.load().scans[:20])
    page.fill("[name=name]", "twenty scans")
    page.set_input_files("input[type=file][name=input]", array)
    page.fill("[name=rows_per_task]", "10")
    page.fill("[name=limit_price]", "1")
    expect(page.locator("#estimate")).to_contain_text("2")
    page.click("main form button.primary.wide")
    expect(page).to_have_url(re.compile(r"/jobs/\d+/$"))
    expect(page.locator("[data-panel=job-state] .good").first).to_be_visible(timeout=JOB_DONE)
    expect(page.locator("[data-panel=job-outputs]")).to_contain_text("label.npy")


def run_a_job_again_and_cancel_it(visit, demo):
    page = visit(walk.MEMBER).goto("/jobs/1/")
    page.click("main a[href*='/jobs/new/?from=']")
    page.fill("[name=name]", "once more")
    page.click("main form button.primary.wide")
    expect(page.locator("h1")).to_contain_text("once more")
    page.click("form[action$='/cancel/'] button, button[hx-post$='/cancel/']")
    expect(page.locator("[data-panel=job-state]")).to_contain_text("Cancelled")


def write_a_job_from_the_simple_market(visit, demo):
    page = visit(walk.MEMBER).goto("/market/simple/")
    page.locator("main a", has_text="Write the job").first.click()
    expect(page).to_have_url(re.compile("/jobs/new/"))
    expect(page.locator("[name=limit_price]")).to_have_value(re.compile("[0-9]"))


def search_the_nodes(visit, demo):
    page = visit(walk.MEMBER).goto("/nodes/")
    page.fill("[name=q]", "pavels")
    page.click("form.filters button.button")
    expect(page.locator("[data-panel=nodes-list] tr[data-row]")).to_have_count(1)
    expect(page.locator("[data-panel=nodes-list]")).to_contain_text("pavels-server")


def narrow_the_statement(visit, demo):
    page = visit(walk.MEMBER).goto("/wallet/")
    page.select_option("[name=kind]", "issue")
    page.wait_for_url(re.compile("kind=issue"))
    expect(page.locator("main tbody tr")).to_have_count(1)
    expect(page.locator("main tbody")).to_contain_text("first credit for a new member")


def change_the_roles_of_a_member(visit, demo):
    page = visit(walk.STEWARD).goto("/cooperative/")
    page.locator("section[aria-labelledby=members] tr", has_text="Pavel").locator("a").click()
    page.check("main form [name=roles][value=AUDITOR]")
    page.click("main form button.primary")
    expect(page.locator("section[aria-labelledby=members] tr", has_text="Pavel")).to_contain_text("Auditor")


def decline_somebody_in_the_console(visit, demo):
    guest = visit(walk.ANYBODY).goto("/account/signup/")
    sign_up(guest, demo, DECLINED)
    ask_to_join(guest, demo, "let me in")

    page = visit(walk.STEWARD).goto("/console/accounts/joinrequest/")
    page.locator("tr", has_text=DECLINED).locator("a").first.click()
    page.locator("main a.button", has_text="Decline").click()
    page.fill("main form [name=reason]", "tell us who you are first")
    page.click("main form button.danger, main form button.primary")
    expect(page.locator("main")).to_contain_text("Declined")

    guest.goto(guest.url)
    expect(guest.locator("main")).to_contain_text("tell us who you are first")


def look_after_ones_own_account(visit, demo):
    page = visit(walk.ANYBODY).goto("/account/signup/")
    sign_up(page, demo, TIDY)
    page.goto(f"{demo.url}/account/password/change/")
    page.fill("[name=oldpassword]", LONG_PASSWORD)
    page.fill("[name=password1]", LONG_PASSWORD[::-1])
    page.fill("[name=password2]", LONG_PASSWORD[::-1])
    page.click("main form button.primary")
    expect(page.locator(".messages")).to_be_visible()

    page.goto(f"{demo.url}/account/email/")
    page.fill("main form [name=email][type=email]", f"second-{TIDY}")
    page.click("button[name=action_add]")
    page.goto(_link_in_mail(demo, f"second-{TIDY}", r"http\S+/account/confirm-email/\S+"))
    page.click("main form button[type=submit]")
    page.goto(f"{demo.url}/account/email/")
    expect(page.locator(".badge.good")).to_have_count(2)

    page.goto(f"{demo.url}/account/logout/")
    page.click("main form button.primary")
    expect(page.locator("header a", has_text="Sign in")).to_be_visible()


def narrow_the_list_of_jobs(visit, demo):
    page = visit(walk.MEMBER).goto("/jobs/")
    page.locator("main a[href*='state=done']").first.click()
    expect(page.locator("main [data-row]").first).to_be_visible()


def drain_a_node_and_let_it_work_again(visit, demo):
    page = visit("pavel@example.org").goto("/nodes/")
    page.locator("main a", has_text="pavels-server").first.click()
    page.click("[data-panel=node-state] button[hx-post$='/drain/']")
    page.click("[data-panel=node-state] button[hx-post$='/resume/']", timeout=SOON)
    expect(page.locator("[data-panel=node-state] button[hx-post$='/drain/']")).to_be_visible(timeout=SOON)


def change_the_price_of_a_node(visit, demo):
    page = visit("pavel@example.org").goto("/nodes/")
    page.locator("main a", has_text="pavels-server").first.click()
    page.fill("form[action$='/terms/'] [name=floor_price]", "0.55")
    page.click("form[action$='/terms/'] button.primary")
    expect(page.locator("[data-panel=node-state]")).to_contain_text("0.55", timeout=SOON)


def make_the_command_that_adds_a_node(visit, demo):
    prepare_a_machine(visit(walk.OPERATOR).goto("/nodes/add/"), "olgas-second-machine")


def try_a_model(visit, demo):
    page = visit(walk.MEMBER).goto("/models/")
    page.locator("main a[href^='/models/']", has_text="digits").first.click()
    row = ", ".join(f"{value:g}" for value in digits.load().scans[0])
    page.fill("#try [name=rows]", row)
    page.click("#try button.primary")
    expect(page.locator("[data-panel=job-state] .good").first).to_be_visible(timeout=JOB_DONE)
    expect(page.locator("[data-panel=job-outputs]")).to_contain_text("label")


def publish_a_model_signed_in_the_browser(visit, demo):
    page = visit("zoe@example.org").goto("/models/publish/")
    model = demo.folder / "digits.onnx"
    model.write_bytes(digits.fit_and_export(digits.load()))
    page.click("#make-key button")
    expect(page.locator("#publisher-keys .here:visible")).to_have_count(1, timeout=SOON)
    page.set_input_files("input[type=file][name=uploads]", model)
    page.fill("[name=name]", "digits-in-the-browser")
    page.fill("[name=version]", "1.0.0")
    page.fill("[name=task]", "classification")
    page.fill("[name=licence]", "CC-BY-4.0")
    page.locator("form[enctype] button.primary").click()
    page.click("#sign-here button", timeout=SOON)
    expect(page).to_have_url(re.compile(r"/models/\d+/$"), timeout=SOON)
    expect(page.locator("h1")).to_contain_text("digits-in-the-browser 1.0.0")


def open_a_line_of_the_statement(visit, demo):
    page = visit(walk.MEMBER).goto("/wallet/")
    page.locator("[data-panel=wallet-statement] a[href*='/wallet/transfer/']").first.click()
    expect(page.locator("main table tbody tr").first).to_be_visible()


def invite_somebody_who_joins(visit, demo):
    page = visit(walk.STEWARD).goto("/cooperative/")
    page.locator("form[action$='/invitations/'] [name=roles][value=MEMBER]").check()
    page.click("form[action$='/invitations/'] button.primary")
    link = page.locator("#invitation-link").inner_text()

    guest = visit(walk.ANYBODY).page
    guest.goto(link)
    guest.click("main a[href*='/account/signup/']")
    sign_up(guest, demo, INVITED)
    guest.goto(link)
    guest.locator("main form.panel input[type=text]").fill("Nora")
    guest.click("main form button.primary")
    expect(guest.locator("nav.rail")).to_be_visible()

    page.goto(page.url)
    expect(page.locator("main")).to_contain_text("Nora")


def ask_to_join_and_be_let_in(visit, demo):
    guest = visit(walk.ANYBODY).goto("/account/signup/")
    sign_up(guest, demo, ASKING)
    ask_to_join(guest, demo, "I repair old workstations")

    page = visit(walk.STEWARD).goto("/cooperative/")
    request = page.locator("section", has=page.locator("#requests")).locator("li", has_text="old workstations")
    request.locator("form[action$='/accept/'] button").click()
    expect(page.locator(".messages")).to_be_visible()

    guest.goto(demo.url)
    expect(guest.locator("nav.rail")).to_be_visible()


def issue_credit_that_a_second_steward_approves(visit, demo):
    page = visit(walk.STEWARD).goto("/cooperative/")
    propose_credit(page, "solar panels for the shed")

    other = visit("ben@example.org").goto("/cooperative/")
    row = other.locator("tr", has_text="solar panels for the shed")
    row.locator("form[action$='/approve/'] button").click()
    expect(other.locator("tr", has_text="solar panels for the shed")).to_contain_text("Issued")


def propose_a_rule_that_a_second_steward_adopts(visit, demo):
    page = visit(walk.STEWARD).goto("/cooperative/policy/propose/")
    page.fill("[name=reason]", "a larger reserve")
    field = page.locator("[name=reserve_bp], [name=reserve]").first
    field.fill(str(float(field.input_value()) + 1).removesuffix(".0"))
    treasury = page.locator("[name=treasury_bp], [name=treasury]").first
    treasury.fill(str(float(treasury.input_value()) - 1).removesuffix(".0"))
    page.click("main form button.primary")
    expect(page).to_have_url(re.compile(r"/cooperative/policy/\d+/$"))

    other = visit("ben@example.org").goto(page.url.removeprefix(demo.url))
    other.click("form[action$='/adopt/'] button")
    expect(other.locator("main")).to_contain_text(re.compile("in force|adopted", re.IGNORECASE))


def make_and_revoke_a_token(visit, demo):
    page = visit(walk.MEMBER).goto("/tokens/")
    page.fill("form [name=name]", "a notebook")
    page.check("form [name=scopes][value='jobs:read']")
    page.click("main form.panel button[type=submit]")
    expect(page.locator("#secret")).to_be_visible()
    row = page.locator("tr", has_text="a notebook")
    row.locator("form[action$='/revoke/'] button").click()
    expect(page.locator("tr", has_text="a notebook").locator("form[action$='/revoke/']")).to_have_count(0)


ACTS = (
    sign_in_from_the_front,
    ask_for_a_new_password,
    start_a_job_from_home,
    submit_a_job_and_check_a_receipt,
    run_a_job_again_and_cancel_it,
    narrow_the_list_of_jobs,
    write_a_job_from_the_simple_market,
    search_the_nodes,
    drain_a_node_and_let_it_work_again,
    change_the_price_of_a_node,
    make_the_command_that_adds_a_node,
    try_a_model,
    publish_a_model_signed_in_the_browser,
    narrow_the_statement,
    open_a_line_of_the_statement,
    change_the_roles_of_a_member,
    decline_somebody_in_the_console,
    look_after_ones_own_account,
    invite_somebody_who_joins,
    ask_to_join_and_be_let_in,
    issue_credit_that_a_second_steward_approves,
    propose_a_rule_that_a_second_steward_adopts,
    make_and_revoke_a_token,
)


def _code(secret):
    """The code that an authenticator app shows now (RFC 6238)."""
    return totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30))


def _link_in_mail(demo, address, pattern):
    """A link in the newest mail to `address`, once it has been written."""
    end = time.monotonic() + SOON / 1000
    while True:
        for file in sorted((demo.folder / "run" / "mail").glob("*"), reverse=True):
            text = file.read_text(errors="replace").replace("=\n", "").replace("=3D", "=")
            if f"To: {address}" in text and (found := re.search(pattern, text)):
                return found[0].rstrip(".,)")
        assert time.monotonic() < end, f"no mail to {address} with {pattern}"
        time.sleep(0.1)
