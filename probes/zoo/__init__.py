"""Small trained models for tests, benchmarks and examples; `make` has their settings."""
