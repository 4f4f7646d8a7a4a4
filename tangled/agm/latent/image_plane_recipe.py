"""A VAE of binarised MNIST with a latent plane, to be looked at."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Images
from agm.latent.image_vae_recipe import SHAPE, ImageVaeConfig, image_recipe
from agm.latent.vae import VaeConfig
from agm.training import TrainingConfig

RECIPE = image_recipe(
    "vae-mnist-plane",
    "variational autoencoder of binarised MNIST with a latent plane",
    {
        "smoke": ImageVaeConfig(
            TrainingConfig(steps=40, batch_size=32, learning_rate=2e-3, log_every=5),
            VaeConfig(SHAPE, latent=2, hidden=(32,)),
            test_images=20,
            draws=50,
        ),
        "small": ImageVaeConfig(
            TrainingConfig(
                steps=9_000,
                batch_size=128,
                learning_rate=2e-3,
                schedule="cosine",
                warmup=300,
                final_fraction=0.01,
                evaluate_every=3_000,
                checkpoint_every=3_000,
                log_every=100,
            ),
            VaeConfig(SHAPE, latent=2, hidden=(256, 128)),
            test_images=1_000,
            draws=1_000,
        ),
    },
)
