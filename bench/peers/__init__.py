"""The libraries that take part. Each module has ``start(workload, **options)``, which returns a
function that does one training step and returns the loss as a number."""
