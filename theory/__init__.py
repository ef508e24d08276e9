"""Univariate functions, targets and theorems, each written once in SymPy."""
