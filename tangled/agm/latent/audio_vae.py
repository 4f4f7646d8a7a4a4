"""A VAE of patches of log-mel spectrograms, and whole sounds through it."""

from __future__ import annotations

# book/03-latent/20-training-vae.qmd § Sounds
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agm.audio import mel_spectrogram
from agm.data import AudioData
from agm.latent.vae import VAE

DECIBEL = 10 / math.log(10)
"""Decibels per unit of natural log-power."""


def mel_patches(clips: AudioData, frames: int, hop: int) -> Float[Tensor, "n bands frames"]:
    """Patches of the log-mel spectrograms of all clips that are long enough.

    Args:
        clips: sounds.
        frames: width of a patch.
        hop: frames from one patch to the next; `frames` for patches that do not overlap.

    Returns:
        The patches of one clip after the other.

    Raises:
        ValueError: if a number is not positive, or no clip is long enough for a patch.
    """
    if frames < 1 or hop < 1:
        raise ValueError(f"expected frames and hop of at least 1, got {frames} and {hop}")
    patches = []
    for index in range(len(clips)):
        spectrogram = mel_spectrogram(clips.clip(index), clips.sample_rate)
        if spectrogram.shape[1] >= frames:
            patches.append(spectrogram.unfold(1, frames, hop).transpose(0, 1))
    if not patches:
        raise ValueError(f"none of {len(clips)} clips has {frames} frames: take shorter patches")
    return torch.cat(patches)


def mel_error(first: Float[Tensor, "*shape"], second: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Root mean squared difference of two log-mel spectrograms, in decibels.

    Args:
        first: natural logarithms of power.
        second: the same of another sound.

    Raises:
        ValueError: if the shapes differ, or there is nothing to compare.
    """
    if first.shape != second.shape or first.numel() == 0:
        raise ValueError(f"expected equal shapes, got {tuple(first.shape)} and {tuple(second.shape)}")
    return DECIBEL * (first - second).square().mean().sqrt()  # @eq-tv-mel-error


class PatchVAE(nn.Module):
    """A VAE in standardised units, with the mean patch and the scale that it is standardised by.

    Args:
        vae: of events ``(bands, frames)``.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae
        self.register_buffer("mean", torch.zeros(vae.likelihood.event_shape))
        self.register_buffer("scale", torch.ones(()))

    def fit_scale(self, patches: Float[Tensor, "n bands frames"]) -> None:
        """Take mean and scale from the training data; ``ValueError`` if they do not vary or do not fit."""
        if patches.shape[1:] != self.mean.shape:
            raise ValueError(f"patches: expected (n, *{tuple(self.mean.shape)}), got {tuple(patches.shape)}")
        scale = (patches - patches.mean(0)).square().mean().sqrt()
        if not bool(scale > 0):
            raise ValueError(f"patches: {len(patches)} with a spread of {scale.item()} have no scale")
        self.mean.copy_(patches.mean(0))
        self.scale.copy_(scale)

    def standardise(self, patches: Float[Tensor, "*n bands frames"]) -> Float[Tensor, "*n bands frames"]:
        """From natural log-power to the units of the VAE."""
        return (patches - self.mean) / self.scale

    def restore(self, values: Float[Tensor, "*n bands frames"]) -> Float[Tensor, "*n bands frames"]:
        """From the units of the VAE to natural log-power."""
        return values * self.scale + self.mean

    @torch.no_grad()
    def reconstruct(self, patches: Float[Tensor, "n bands frames"]) -> Float[Tensor, "n bands frames"]:
        """Patches as the decoder's mean at their posterior mean."""
        return self.restore(self.vae.reconstruct(self.standardise(patches)))

    def resynthesise(self, log_mel: Float[Tensor, "bands time"]) -> Float[Tensor, "bands time"]:
        """A whole spectrogram through the bottleneck, patch after patch.

        Args:
            log_mel: of any length; its last frame is repeated to fill the last patch.

        Returns:
            The reconstruction, as long as the original.

        Raises:
            ValueError: if there is no frame, or another number of bands than the model has.
        """
        if log_mel.ndim != 2 or log_mel.shape[0] != len(self.mean) or log_mel.shape[1] == 0:
            raise ValueError(f"log_mel: expected ({len(self.mean)}, time), got {tuple(log_mel.shape)}")
        time, frames = log_mel.shape[1], self.mean.shape[1]
        missing = -time % frames
        padded = torch.cat([log_mel, log_mel[:, -1:].expand(-1, missing)], 1)
        patches = padded.unflatten(1, (-1, frames)).transpose(0, 1)
        return self.reconstruct(patches).transpose(0, 1).flatten(1)[:, :time]

    @torch.no_grad()
    def babble(self, z: Float[Tensor, "patches latent"]) -> Float[Tensor, "bands time"]:
        """A spectrogram of decoded codes, side by side."""
        return self.restore(self.vae.sample(z)).transpose(0, 1).flatten(1)


def principal_reconstruction(
    train: Float[Tensor, "n bands frames"], test: Float[Tensor, "m bands frames"], dimensions: int
) -> Float[Tensor, "m bands frames"]:
    """Reconstruct patches from their principal components, the best linear code of the training patches.

    Args:
        train: patches that the components are computed from.
        test: patches to reconstruct.
        dimensions: number of components; 0 leaves the mean.

    Raises:
        ValueError: if there are not so many components, or the patches differ in shape.
    """
    size = train[0].numel()
    if not 0 <= dimensions <= size or test.shape[1:] != train.shape[1:]:
        found = f"{dimensions} of {size} for patches {tuple(train.shape[1:])} and {tuple(test.shape[1:])}"
        raise ValueError(f"expected 0 to {size} components and patches of one shape, got {found}")
    mean = train.mean(0).flatten()
    centred = train.flatten(1) - mean
    values = torch.linalg.eigh(centred.T @ centred / len(centred))
    basis = values.eigenvectors[:, size - dimensions :]  # (values of a patch, dimensions)
    return ((test.flatten(1) - mean) @ basis @ basis.T + mean).view_as(test)
