"""VAEs of lines of Shakespeare: settings, training with and without cures for collapse, test likelihood."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Lines of text
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor, nn

from agm.data import load_shakespeare
from agm.latent.text_vae import Lines, TextVAE, TextVaeConfig, shakespeare_lines
from agm.latent.vae_training import active_units, free_bits_kl, held_out_likelihood, kl_weight
from agm.recipes import Recipe, Samples
from agm.training import StepContext, TrainingConfig, seeded
from agm.training.noise import EVALUATE


@dataclass(frozen=True)
class TextRecipeConfig:
    """Settings of a text VAE and of its training."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Settings of the loop."""
    vae: TextVaeConfig = field(default_factory=TextVaeConfig)
    """Sizes of the networks; `latent` 0 is the model without a code."""
    kl_warmup: int = 0
    """Steps until the KL term has its full weight."""
    free_bits: float = 0.0
    """Nats per latent coordinate that cost nothing."""
    dropout: float = 0.0
    """Fraction of the characters that the decoder does not see while it is trained."""
    test_lines: int = 1_000
    """Number of held-out lines, evenly spread, whose likelihood is estimated."""
    draws: int = 200
    """Importance draws for each of them."""


@cache
def lines(split: str) -> Lines:
    """The lines of a split, read once."""
    return shakespeare_lines(split)


def held_out_lines(count: int) -> Lines:
    """Held-out lines, evenly spread over the test works.

    Args:
        count: how many.
    """
    every = lines("test")
    places = torch.linspace(0, len(every.ids) - 1, count).long()
    return Lines(every.ids[places], every.lengths[places])


class TextTask:
    """Minus the ELBO of lines, with warm-up, free bits and character dropout.

    Args:
        model: what is trained.
        config: the settings.
    """

    metric = "negative_elbo"

    def __init__(self, model: TextVAE, config: TextRecipeConfig) -> None:
        self.model: nn.Module = model
        self.config = config

    def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
        """The objective and its two terms in nats per line, means over the batch."""
        ids, lengths = batch
        noise = context.normal(self.config.vae.latent)
        keep = context.uniform(ids.shape[1]) >= self.config.dropout if self.config.dropout else None
        terms = self.model(ids, lengths, noise, keep)
        reconstruction = terms.reconstruction.mean()
        weight = kl_weight(context.step, self.config.kl_warmup)
        penalty = free_bits_kl(terms.rates, self.config.free_bits)
        return {
            "loss": weight * penalty - reconstruction,
            "reconstruction": reconstruction,
            "kl": terms.rates.sum(1).mean(),
        }

    def evaluate(self, model: nn.Module, context: StepContext) -> dict[str, float]:
        """The ELBO of held-out lines, its rate, and the number of active units."""
        assert isinstance(model, TextVAE)
        held_out = held_out_lines(self.config.test_lines)
        ids, lengths = held_out.ids.to(context.device), held_out.lengths.to(context.device)
        with torch.no_grad():
            posterior = model.encode(ids, lengths)
            noise = context.at(0, len(ids)).normal(self.config.vae.latent)
            terms = model(ids, lengths, noise)
        rate = terms.rates.sum(1)
        return {
            "negative_elbo": (rate - terms.reconstruction).double().mean().item(),
            "kl": rate.double().mean().item(),
            "active_units": float(active_units(posterior.mean).sum()),
        }


def make_model(config: TextRecipeConfig) -> TextVAE:
    """A new model; the seed of the training decides its weights."""
    with seeded(config.training.seed):
        return TextVAE(config.vae)


def build(config: TextRecipeConfig) -> tuple[TextTask, tuple[Tensor, Tensor]]:
    """The task, and the lines to train on."""
    train = lines("train")
    return TextTask(make_model(config), config), (train.ids, train.lengths)


def sample(model: nn.Module, config: TextRecipeConfig, count: int, seed: int) -> Samples:
    """Draw codes from the prior and spell them out."""
    assert isinstance(model, TextVAE)
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, config.vae.latent, generator=generator)
    vocabulary = load_shakespeare("train").vocabulary
    written = model.write(z, generator)
    return Samples(texts=tuple(vocabulary.decode(torch.tensor(line, dtype=torch.long)) for line in written))


def evaluate(model: nn.Module, config: TextRecipeConfig) -> dict[str, float]:
    """Test likelihood by importance sampling, per line and per character, and the bound."""
    assert isinstance(model, TextVAE)
    held_out = held_out_lines(config.test_lines)
    context = StepContext(0, seed=config.training.seed, stream=EVALUATE)
    packed = torch.cat([held_out.ids, held_out.lengths[:, None]], 1)

    def draw_log_weights(part: Tensor, noise: StepContext, draws: int) -> Tensor:
        codes = noise.normal(draws, config.vae.latent).transpose(0, 1)
        return model.log_weights(part[:, :-1], part[:, -1], codes)

    # Without a code all draws are alike, and two of them say so.
    draws = config.draws if config.vae.latent else 2
    metrics = held_out_likelihood(draw_log_weights, packed, draws, context)
    metrics |= TextTask(model, config).evaluate(model, context)
    length = held_out.lengths.double().mean().item()
    return metrics | {"nll_per_character": metrics["nll"] / length, "symbols_per_line": length}


def text_recipe(
    name: str, title: str, smoke: TextRecipeConfig, small: TextRecipeConfig
) -> Recipe[TextRecipeConfig]:
    """A recipe for lines that differs from its siblings in settings only.

    Args:
        name: of the model.
        title: one line that says what it is.
        smoke: the smallest settings.
        small: the settings of the book's artifact.
    """
    full = replace(
        small,
        training=replace(small.training, steps=60_000, learning_rate=1e-3, warmup=1_000),
        vae=replace(small.vae, hidden=768, embedding=128, latent=2 * small.vae.latent),
        kl_warmup=10 * small.kl_warmup,
        draws=1_000,
    )
    return Recipe(
        name=name,
        title=title,
        chapter="sec-training-vae",
        modality="text",
        datasets=("shakespeare",),
        presets={"smoke": smoke, "small": small, "full": full},
        model=make_model,
        build=build,
        sample=sample,
        evaluate=evaluate,
        storage="float16",
    )


SMOKE = TextRecipeConfig(
    TrainingConfig(steps=20, batch_size=16, learning_rate=3e-3, log_every=5),
    TextVaeConfig(latent=4, hidden=24, embedding=8),
    test_lines=12,
    draws=10,
)
SMALL = TextRecipeConfig(
    TrainingConfig(
        steps=4_000,
        batch_size=64,
        learning_rate=3e-3,
        schedule="cosine",
        warmup=200,
        final_fraction=0.02,
        gradient_clip=5.0,
        evaluate_every=1_000,
        checkpoint_every=500,
        log_every=20,
    ),
)

RECIPE = text_recipe(
    "vae-text",
    "variational autoencoder of lines of Shakespeare, cured of collapse",
    replace(SMOKE, kl_warmup=10, free_bits=0.25, dropout=0.2),
    replace(SMALL, kl_warmup=1_000, free_bits=0.25, dropout=0.2),
)
