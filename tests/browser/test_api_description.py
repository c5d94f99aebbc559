"""The description of the API in a real browser."""


def test_it_opens_under_our_content_policy(visit, alice):
    window = visit(alice)
    page = window.goto("/api/v1/docs/")

    page.wait_for_selector("#operations-jobs-job_submit", timeout=60_000)

    assert window.complaints == []
