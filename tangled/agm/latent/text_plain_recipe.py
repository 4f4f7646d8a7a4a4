"""The same text VAE trained on the plain ELBO: its posterior collapses."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Lines of text
from agm.latent.text_vae_recipe import SMALL, SMOKE, text_recipe

RECIPE = text_recipe(
    "vae-text-plain", "variational autoencoder of lines of Shakespeare, plain ELBO", SMOKE, SMALL
)
