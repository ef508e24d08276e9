"""What a report looks like: in words, as JSON."""
