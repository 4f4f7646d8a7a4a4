"""The package `agm.latent`, tangled from the book."""
