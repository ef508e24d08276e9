"""Timings of the search, its parts, and a public linear-relaxation verifier beside it."""
