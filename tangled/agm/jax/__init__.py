"""The package `agm.jax`, tangled from the book."""
