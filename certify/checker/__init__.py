"""The independent checker: it proves everything that a certificate says again, from nothing.

No code of the engine's, neither torch nor numpy, and under 500 lines besides blank ones, so
that it can be read.
"""
