"""pytest plugin (`-p tests.strictness`): a skipped or expectedly failing test fails the run.

A check that did not happen must never look like one that passed.
"""

import pytest

EXCUSED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[EXCUSED] = []
    config.pluginmanager.register(_Recorder(config.stash[EXCUSED]))


class _Recorder:
    def __init__(self, excused: list[str]) -> None:
        self._excused = excused

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped or hasattr(report, "wasxfail"):
            self._excused.append(f"{report.nodeid}: {report.longreprtext.splitlines()[-1:]}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._excused.append(f"{report.nodeid}: {report.longreprtext.splitlines()[-1:]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash[EXCUSED] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    excused = config.stash[EXCUSED]
    if excused:
        terminalreporter.section("skipped or expected to fail: not accepted", red=True, bold=True)
        for line in excused:
            terminalreporter.line(line)
