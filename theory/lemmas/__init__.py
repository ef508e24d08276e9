"""Facts that proofs and enclosures rest on: one file for each subject."""
