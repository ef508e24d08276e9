"""Tiny models, trained or not, on one thread: more would wait for each other on a busy machine."""

import pytest
import torch

from probes.store import Store


class Sum(torch.nn.Module):
    """Scheme one's sum of two tokens, up to `shift`."""

    def __init__(self, shift=0.25):
        super().__init__()
        self.shift = shift

    def forward(self, x):
        return x.sum(dim=1, keepdim=True) + self.shift


@pytest.fixture(scope="session")
def shifted():
    """The module class `Sum`."""
    return Sum


@pytest.fixture
def untrained(monkeypatch):
    """Training that fails the test: options must be refused before it."""
    from probes import fitting, training

    def started(*_, **__):
        raise AssertionError("training was started")

    monkeypatch.setattr(fitting, "fit", started)
    monkeypatch.setattr(training, "train", started)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def opened(tmp_path):
    """A store of results, open."""
    with Store(tmp_path / "store").opened() as ready:
        yield ready
