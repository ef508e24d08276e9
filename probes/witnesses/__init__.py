"""Models that refute a claim by what they do, and their certificates."""
