"""The package of the textbook *Advanced Generative Modeling*, tangled from its chapters."""
