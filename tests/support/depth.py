"""How many examples a law gets: 50 locally, 200 in CI, 5,000 by night.

A law that is split over many cases (each function in each domain) shares them out.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
EXAMPLES = {"local": 50, "ci": 200, "nightly": 5000, "mutants": 200}
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def law(cases: int = 1) -> settings:
    """Settings of one law that is split over this many cases."""
    return settings(
        max_examples=max(2, EXAMPLES.get(PROFILE, 50) // cases), suppress_health_check=SLOW
    )
