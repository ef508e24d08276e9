"""The pytest plugin: the fixture `certified`, and a line for each guarantee that was proved.

pytest loads it by itself (entry point pytest11) wherever Plateau is installed, so it imports
pytest alone; torch and the search come with the first use of the fixture.
"""

from __future__ import annotations

from typing import Any

import pytest

KEY = "certified"


class Certified:
    """The assertions of `certify.testing` that note what they proved.

    What was proved goes into the test's `user_properties`, so into JUnit reports, and into the
    summary that pytest prints with -v.
    """

    def __init__(self, notes: list[tuple[str, Any]], budget: float) -> None:
        self._notes, self._budget = notes, budget

    def within(self, model: Any, target: Any, eps: float, **more: Any) -> Any:
        """See `certify.testing.assert_within`."""
        return self._run("assert_within", model, target, eps, **more)

    def no_plateau(self, model: Any, target: Any, **more: Any) -> Any:
        """See `certify.testing.assert_no_plateau`."""
        return self._run("assert_no_plateau", model, target, **more)

    def monotone(self, model: Any, *rest: Any, **more: Any) -> Any:
        """See `certify.testing.assert_monotone`."""
        return self._run("assert_monotone", model, *rest, **more)

    def lipschitz(self, model: Any, bound: float, *rest: Any, **more: Any) -> Any:
        """See `certify.testing.assert_lipschitz`."""
        return self._run("assert_lipschitz", model, bound, *rest, **more)

    def _run(self, name: str, *args: Any, **more: Any) -> Any:
        __tracebackhide__ = True
        import certify.testing

        more.setdefault("budget", self._budget)
        report = getattr(certify.testing, name)(*args, **more)
        for claim in report.claims:
            self._notes.append((KEY, f"{claim.verdict.value} {claim.says} ({claim.reason})"))
        return report


@pytest.fixture
def certified(request: pytest.FixtureRequest) -> Certified:
    """Assertions on models for every real input: `certified.within(model, "exp", 0.01)`."""
    budget = request.config.getoption("certify_budget")
    return Certified(request.node.user_properties, budget)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--certify-budget SECONDS."""
    parser.getgroup("certify").addoption(
        "--certify-budget",
        dest="certify_budget",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="for each guarantee that a test asks of the fixture `certified` (default: 60)",
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """With -v: every guarantee that was proved."""
    if terminalreporter.verbosity < 1:
        return
    passed = terminalreporter.stats.get("passed", [])
    said = [(r.nodeid, text) for r in passed for key, text in r.user_properties if key == KEY]
    if said:
        terminalreporter.section("certified")
    for test, text in said:
        terminalreporter.write_line(f"{test}: {text}")
