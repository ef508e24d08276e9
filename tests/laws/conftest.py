"""One thread; counts of what the laws tried, for the page on reliability."""

from __future__ import annotations

import counting
import torch

torch.set_num_threads(1)


def pytest_sessionfinish(session):
    counting.write()
