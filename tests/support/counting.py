"""How often each law was tried in this run: `hold` is an assertion that counts.

With PLATEAU_LAWS=FILE the counts are written there at the end, for docs/reliability.md.
"""

from __future__ import annotations

import json
import os
from collections import Counter

TRIED: Counter[str] = Counter()
FAILED: Counter[str] = Counter()
#: Comparisons that nothing could have failed: not defined there, or no bound on either side.
EMPTY: Counter[str] = Counter()


def hold(law: str, holds: bool, *shown: object) -> None:
    """One comparison of a law.

    Raises:
        AssertionError: it does not hold; `shown` is the witness.
    """
    TRIED[law] += 1
    FAILED[law] += not holds
    assert holds, (law, *shown)


def rows() -> list[dict[str, object]]:
    """What was tried, for the page."""
    return [{"what": law, "tried": n, "failed": FAILED[law], "note": _note(law)}
            for law, n in sorted(TRIED.items())]  # fmt: skip


def _note(law: str) -> str:
    share = 100 * EMPTY[law] / TRIED[law]
    return f"{share:.1f} % undefined or unbounded" if share else ""


def write() -> None:
    """Write the counts where the environment says."""
    path = os.environ.get("PLATEAU_LAWS")
    if path and TRIED:
        profile = os.environ.get("HYPOTHESIS_PROFILE", "ci")
        data = {"title": f"Laws, as tried by the profile `{profile}`", "rows": rows()}
        with open(path, "w") as file:
            json.dump(data, file, indent=1)
            file.write("\n")
