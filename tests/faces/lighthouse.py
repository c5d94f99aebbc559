"""Lighthouse (mobile) on the pages people meet first: `python -m tests.faces.lighthouse [--json PATH]`.

It tells the demo, signs in, and prints the scores beside what is asked for. Lighthouse is not a dependency:
`npm install -g lighthouse`, or LIGHTHOUSE=/path/to/lighthouse. Run it on a machine that does nothing else.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browsing import CHROMIUM
from tests.faces import running_demo, walk

PAGES = (("front", walk.ANYBODY), ("home", walk.MEMBER), ("market", walk.MEMBER), ("job", walk.MEMBER))
ASKED = {"performance": 95, "accessibility": 100}


def main() -> int:
    """Measure each page; the exit code is 1 when one falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where the scores go as well")
    arguments = parser.parse_args()
    with running_demo.serving() as demo:
        scores = {name: _scores(f"{demo.url}{path}", cookie) for name, path, cookie in _targets(demo)}
    _say(f"{'page':<10}" + "".join(f"{category:>16}" for category in ASKED) + "      LCP    TBT    CLS")
    for name, found in scores.items():
        figures = "".join(f"{found[category]:>16}" for category in ASKED)
        _say(f"{name:<10}{figures}   {found['lcp']:>6} {found['tbt']:>6} {found['cls']:>6}")
    if arguments.json:
        arguments.json.write_text(json.dumps(scores, indent=2) + "\n")
    return int(any(found[category] < asked for found in scores.values() for category, asked in ASKED.items()))


def _targets(demo):
    """(name, path, session cookie) of each page; the browser is gone before Lighthouse starts its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{demo.url}/account/login/")
        page.fill("input[name=login]", walk.MEMBER)
        page.fill("input[name=password]", running_demo.PASSWORD)
        page.click("main form button[type=submit]")
        page.wait_for_selector("nav.rail")

        def look(path):
            page.goto(f"{demo.url}{path}")
            return page

        known = dict(walk.addresses(look, walk.MEMBER))
        cookie = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "sessionid")
        browser.close()
    return [(name, known.get(name, "/"), cookie if person else "") for name, person in PAGES]


def _scores(url, cookie):
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            os.environ.get("LIGHTHOUSE", "lighthouse"),
            url,
            "--quiet",
            "--output=json",
            f"--output-path={report}",
        ]
        command += [f"--only-categories={','.join(ASKED)}", "--chrome-flags=--headless=new --no-sandbox --disable-gpu"]
        if cookie:
            command.append("--extra-headers=" + json.dumps({"Cookie": f"sessionid={cookie}"}))
        subprocess.run(command, check=True, env=os.environ | {"CHROME_PATH": CHROMIUM})
        found = json.loads(report.read_text())
    scores = {category: round(100 * found["categories"][category]["score"]) for category in ASKED}
    for name, audit in (
        ("lcp", "largest-contentful-paint"), ("tbt", "total-blocking-time"), ("cls", "cumulative-layout-shift"),
    ):  # fmt: skip
        scores[name] = found["audits"][audit]["displayValue"].replace("\xa0", " ")
    return scores


def _say(text):
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
