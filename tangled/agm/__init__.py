"""The package `agm`, tangled from the book."""
