"""The statements about plateaus, resolution, readouts and smoothness: one file a subject."""
