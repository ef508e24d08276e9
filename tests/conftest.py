"""Profiles of hypothesis; choose one with HYPOTHESIS_PROFILE, e.g. nightly.

The laws of whole graphs have their own numbers, see tests/support/depth.py.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

for name, examples in (("ci", 25), ("local", 50), ("nightly", 5000), ("mutants", 25)):
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=name in ("ci", "mutants"),  # one commit, one verdict; others explore
        # a mutant's failure is not looked at, so it need not be made small
        phases=(Phase.explicit, Phase.generate, Phase.shrink)[: 2 if name == "mutants" else 3],
        suppress_health_check=SLOW,
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes; run with HYPOTHESIS_PROFILE=nightly")


def pytest_collection_modifyitems(config, items):
    if os.environ.get("HYPOTHESIS_PROFILE") == "nightly":
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if not item.get_closest_marker("slow")]
