"""The VAE of binarised MNIST without a warm-up of its KL term, for comparison."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Images
from dataclasses import replace

from agm.latent.image_vae_recipe import RECIPE as WARM
from agm.latent.image_vae_recipe import image_recipe

RECIPE = image_recipe(
    "vae-mnist-cold",
    "variational autoencoder of binarised MNIST, trained without warm-up",
    {
        "smoke": WARM.preset("smoke"),
        "small": replace(WARM.preset("small"), kl_warmup=0, test_images=1_000, draws=1_000),
    },
)
