"""Peers: the libraries that take part. Each file has ``start(workload, **options)``, which returns
the training step: a function that does one and returns its loss as a number."""
