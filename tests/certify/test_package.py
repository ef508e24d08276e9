"""The package's own names, which are imported on first use."""

import certify


def test_lazy_names_are_listed_and_found():
    assert {"check", "export", "load", "verify", "enclose", "Unrolled"} <= set(dir(certify))
    assert all(getattr(certify, name) is not None for name in dir(certify))
