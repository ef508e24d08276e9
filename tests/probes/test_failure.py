"""The failure rate grows with the test set while the error stays the same."""

import pytest

from probes import failure


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(failure, "SIZES", (10, 100, 1000, 10_000))
    monkeypatch.setattr(failure, "ANSWERS", 500)


def test_the_same_error_fails_almost_never_and_almost_always():
    found = failure.curve(4, 0.3)
    assert found["rates"] == sorted(found["rates"])
    assert found["rates"][0] < 0.1
    assert found["rates"][-1] > 0.9
    # Predicted for large d: 147. The order is right, the number is not exact.
    assert found["predicted_size"] == pytest.approx((1 + 1 / 0.09) ** 2)
    assert 0.5 < failure.crossing(found) / found["predicted_size"] < 3


def test_more_dimensions_fail_less():
    rates = [failure.curve(d, 0.3)["rates"][-1] for d in (4, 8, 32)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0


def test_the_crossing_is_interpolated_in_log_n():
    assert failure.crossing({"sizes": [10, 1000], "rates": [0.0, 1.0]}) == pytest.approx(100)
    assert failure.crossing({"sizes": [10, 1000], "rates": [0.6, 1.0]}) is None
    assert failure.crossing({"sizes": [10, 1000], "rates": [0.0, 0.4]}) is None


def test_settings_name_all_that_a_curve_depends_on(monkeypatch):
    before = failure.settings(4, 0.1)
    assert failure.settings(8, 0.1) != before != failure.settings(4, 0.3)
    monkeypatch.setattr(failure, "ANSWERS", 7)
    assert failure.settings(4, 0.1) != before
