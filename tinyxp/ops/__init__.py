"""The operations: each function of the Array API with its vjp beside it."""
