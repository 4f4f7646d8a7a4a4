"""The linear-Gaussian latent variable model, in which every quantity of variational inference is exact.

``z ~ N(0, I)``, ``x | z ~ N(W z + mean, diag(noise_variance))``: factor analysis; with one common noise
variance, probabilistic PCA. Use float64 where identities are to hold to more than six digits.
"""

from __future__ import annotations

# book/03-latent/17-elbo.qmd § A model with all the answers, in code
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from agm.divergences import gaussian_kl

LOG_TWO_PI = math.log(2 * math.pi)


def gaussian_log_density(
    x: Float[Tensor, "*batch d"], mean: Float[Tensor, "*batch d"], covariance: Float[Tensor, "*batch d d"]
) -> Float[Tensor, "*batch"]:
    """log N(x; mean, covariance) in nats, by one Cholesky factorisation (@eq-eb-marginal).

    Args:
        x: points.
        mean: of the Gaussian.
        covariance: positive definite.

    Returns:
        The logarithm of the density at each point.
    """
    factor = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(factor, (x - mean).unsqueeze(-1), upper=False).squeeze(-1)
    log_determinant = 2 * torch.diagonal(factor, dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * ((white**2).sum(-1) + log_determinant + x.shape[-1] * LOG_TWO_PI)


@dataclass(frozen=True)
class LinearGaussian:
    """Latent variable model with Gaussian prior, linear decoder and Gaussian noise (Tipping & Bishop, 1999).

    Attributes:
        loadings: W, ``(data, latent)``.
        mean: of the data, ``(data,)``.
        noise_variance: psi, ``(data,)``, positive.
    """

    loadings: Float[Tensor, "data latent"]
    mean: Float[Tensor, " data"]
    noise_variance: Float[Tensor, " data"]

    def __post_init__(self) -> None:
        parts = (self.loadings, self.mean, self.noise_variance)
        if not all(isinstance(part, Tensor) and part.is_floating_point() for part in parts):
            raise TypeError("loadings, mean and noise_variance: expected three floating-point tensors")
        if len({part.dtype for part in parts}) > 1:
            raise ValueError(
                f"loadings, mean, noise_variance: one type for all, got {[p.dtype for p in parts]}"
            )
        shapes = [tuple(part.shape) for part in (self.loadings, self.mean, self.noise_variance)]
        if self.loadings.ndim != 2 or shapes[1] != shapes[0][:1] or shapes[2] != shapes[0][:1]:
            raise ValueError(f"expected loadings (d, k), mean (d,) and noise_variance (d,), got {shapes}")
        if not bool((self.noise_variance > 0).all()):
            raise ValueError("noise_variance: must be positive; drop constant inputs or raise it")

    @property
    def latent_size(self) -> int:
        """Number of latent dimensions."""
        return self.loadings.shape[1]

    def _centred(self, x: Tensor) -> Tensor:
        """The data less their mean; refuses data that would be broadcast along their last axis."""
        if not isinstance(x, Tensor):
            raise TypeError(f"x: expected a tensor, got {type(x).__name__}")
        if x.ndim == 0 or x.shape[-1] != len(self.mean):
            raise ValueError(f"x: expected shape (..., {len(self.mean)}), got {tuple(x.shape)}")
        return x - self.mean

    def covariance(self) -> Float[Tensor, "data data"]:
        """Covariance of x: W W' + diag(psi)."""
        return self.loadings @ self.loadings.T + torch.diag(self.noise_variance)

    def posterior_precision(self) -> Float[Tensor, "latent latent"]:
        """Inverse covariance of z given x: I + W' diag(1 / psi) W (@eq-eb-posterior)."""
        scaled = self.loadings / self.noise_variance[:, None]
        identity = torch.eye(self.latent_size, dtype=scaled.dtype, device=scaled.device)
        return identity + self.loadings.T @ scaled

    def posterior_covariance(self) -> Float[Tensor, "latent latent"]:
        """Covariance of z given x, the same for every x."""
        return torch.cholesky_inverse(torch.linalg.cholesky(self.posterior_precision()))

    def posterior_mean(self, x: Float[Tensor, "*batch data"]) -> Float[Tensor, "*batch latent"]:
        """Mean of z given x, a linear function of x (@eq-eb-posterior)."""
        projected = (self._centred(x) / self.noise_variance) @ self.loadings  # (*batch, latent)
        return projected @ self.posterior_covariance()

    def mean_field_variance(self) -> Float[Tensor, " latent"]:
        """Variances of the best Gaussian q with independent coordinates: one over the diagonal precisions."""
        return 1 / torch.diagonal(self.posterior_precision())  # @eq-eb-mean-field

    def decode(self, z: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch data"]:
        """Mean of x given z."""
        return z @ self.loadings.T + self.mean

    def sample(self, n: int, generator: torch.Generator | None = None) -> Float[Tensor, "n data"]:
        """Draw n observations: a latent, its decoded mean, and noise."""
        dtype, device = self.mean.dtype, self.mean.device
        z = torch.randn(n, self.latent_size, generator=generator, dtype=dtype, device=device)
        noise = torch.randn(n, len(self.mean), generator=generator, dtype=dtype, device=device)
        return self.decode(z) + noise * self.noise_variance.sqrt()

    def log_joint(
        self, x: Float[Tensor, "*batch data"], z: Float[Tensor, "*batch latent"]
    ) -> Float[Tensor, "*batch"]:
        """log p(x, z) in nats; leading axes of x and z broadcast."""
        residual = (self._centred(x) - z @ self.loadings.T) ** 2 / self.noise_variance
        log_likelihood = -0.5 * (residual + self.noise_variance.log() + LOG_TWO_PI).sum(-1)
        return log_likelihood - 0.5 * (z**2 + LOG_TWO_PI).sum(-1)

    def log_marginal(self, x: Float[Tensor, "*batch data"]) -> Float[Tensor, "*batch"]:
        """log p(x) in nats, with factorisations of latent size only (@eq-eb-woodbury).

        Args:
            x: observations.

        Returns:
            The exact log marginal likelihood of each.
        """
        centred = self._centred(x)
        projected = (centred / self.noise_variance) @ self.loadings  # W' diag(1 / psi) (x - mean)
        factor = torch.linalg.cholesky(self.posterior_precision())
        explained = torch.linalg.solve_triangular(factor, projected.unsqueeze(-1), upper=False).squeeze(-1)
        quadratic = (centred**2 / self.noise_variance).sum(-1) - (explained**2).sum(-1)
        log_determinant = self.noise_variance.log().sum() + 2 * torch.diagonal(factor).log().sum()
        return -0.5 * (quadratic + log_determinant + len(self.mean) * LOG_TWO_PI)

    def log_marginal_dense(self, x: Float[Tensor, "*batch data"]) -> Float[Tensor, "*batch"]:
        """log p(x) from the full covariance: slower, an independent check (@eq-eb-marginal)."""
        return gaussian_log_density(self._centred(x), torch.zeros_like(self.mean), self.covariance())

    def expected_log_likelihood(
        self,
        x: Float[Tensor, "*batch data"],
        q_mean: Float[Tensor, "*batch latent"],
        q_covariance: Float[Tensor, "*batch latent latent"],
    ) -> Float[Tensor, "*batch"]:
        """Average of log p(x | z) over z ~ N(q_mean, q_covariance), in nats (@eq-eb-expected)."""
        if q_covariance.shape[-2:] != (self.latent_size, self.latent_size):
            expected = f"(..., {self.latent_size}, {self.latent_size})"
            raise ValueError(f"q_covariance: expected {expected}, got {tuple(q_covariance.shape)}")
        scaled = self.loadings / self.noise_variance[:, None]
        spread = ((self.loadings.T @ scaled) * q_covariance).sum((-2, -1))
        residual = (self._centred(x) - q_mean @ self.loadings.T) ** 2 / self.noise_variance
        return -0.5 * (residual + self.noise_variance.log() + LOG_TWO_PI).sum(-1) - 0.5 * spread

    def elbo(
        self,
        x: Float[Tensor, "*batch data"],
        q_mean: Float[Tensor, "*batch latent"],
        q_covariance: Float[Tensor, "*batch latent latent"],
    ) -> Float[Tensor, "*batch"]:
        """ELBO of a Gaussian q in closed form, in nats: @eq-eb-reconstruction without sampling.

        Args:
            x: observations.
            q_mean: mean of q for each observation.
            q_covariance: covariance of q, one for each observation or one for all.

        Returns:
            The bounds; equal to ``log_marginal`` if q is the posterior.

        Raises:
            ValueError: if ``q_covariance`` is not positive definite.
        """
        identity = torch.eye(self.latent_size, dtype=q_mean.dtype, device=q_mean.device)
        kl = gaussian_kl(q_mean, q_covariance, torch.zeros_like(q_mean), identity)
        return self.expected_log_likelihood(x, q_mean, q_covariance) - kl


# book/03-latent/17-elbo.qmd § A model with all the answers, in code
def fit_ppca(
    x: Float[Tensor, "n data"], latent: int, rotation: Float[Tensor, "latent latent"] | None = None
) -> LinearGaussian:
    """Maximum likelihood probabilistic PCA (Tipping & Bishop, 1999).

    Args:
        x: observations; float64 is advisable.
        latent: number k of latent dimensions, below the number of data dimensions.
        rotation: an orthogonal matrix R; loadings W and W R have the same likelihood. Identity if None.

    Returns:
        The model; its noise variance is the mean of the discarded eigenvalues.

    Raises:
        ValueError: if k is out of range, data are not finite, the rotation is not orthogonal, or no variance
            is left for the noise.
    """
    if not isinstance(x, Tensor) or x.ndim != 2 or not x.is_floating_point() or not bool(x.isfinite().all()):
        raise ValueError("x: expected finite floating-point numbers of shape (n, data)")
    if rotation is not None:
        identity = torch.eye(latent, dtype=rotation.dtype, device=rotation.device)
        if rotation.shape != identity.shape or not torch.allclose(
            rotation.mT @ rotation, identity, atol=1e-5
        ):
            raise ValueError(f"rotation: expected an orthogonal matrix ({latent}, {latent})")
    n, size = x.shape
    if not 0 < latent < min(n, size):
        raise ValueError(f"latent: expected 1 to {min(n, size) - 1} for {n} × {size} data, got {latent}")
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / n)  # ascending
    noise = values[: size - latent].mean()
    if not float(noise) > 1e-12 * float(values[-1]):
        raise ValueError(f"no variance is left for the noise beside {latent} components; use fewer")
    loadings = vectors[:, -latent:].flip(1) * (values[-latent:].flip(0) - noise).clamp(min=0).sqrt()
    return LinearGaussian(loadings if rotation is None else loadings @ rotation, mean, noise.repeat(size))
