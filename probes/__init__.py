"""Training, sampling and experiments: the consumer and the adversary of `certify`."""
