"""The text VAE's decoder by itself: an autoregressive model without a latent code."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Lines of text
from dataclasses import replace

from agm.latent.text_vae_recipe import SMALL, SMOKE, text_recipe

RECIPE = text_recipe(
    "text-autoregressive",
    "recurrent model of lines of Shakespeare, no latent code",
    replace(SMOKE, vae=replace(SMOKE.vae, latent=0)),
    replace(SMALL, vae=replace(SMALL.vae, latent=0)),
)
