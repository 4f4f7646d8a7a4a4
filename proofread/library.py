"""Ready interpretations for the common settings; extend them with more declarations where needed.

Each is a function that returns a ``Model``; ``latent_variable_model().extended(real("c"))`` adds to it.
"""

from __future__ import annotations

from proofread.declare import (
    between,
    constant,
    define,
    distribution,
    divergence,
    finite,
    index,
    law,
    matrix,
    positive_definite,
    sequence,
    table,
    vector,
)
from proofread.functions import function
from proofread.interpret import Model, model


def two_distributions(outcomes: int = 3) -> Model:
    """``p(x)`` and ``q(x)`` on a finite set ``\\mathcal X``, a test function ``T(x)``, and JS and TV."""
    return model(
        finite(r"x \in \mathcal X", outcomes),
        distribution("p(x)"),
        distribution("q(x)"),
        table("T(x)"),
        divergence(
            r"D_{\mathrm{JS}}(p \| q)", r"\frac12 p \log \frac{2 p}{p + q} + \frac12 q \log \frac{2 q}{p + q}"
        ),
        divergence(r"D_{\mathrm{TV}}(p, q)", r"\frac12 \left| p - q \right|"),
    )


def f_divergences(outcomes: int = 3) -> Model:
    """Two distributions, a convex generator ``f`` with ``f(1) = 0``, and ``D_f``."""
    return model(
        two_distributions(outcomes),
        function("f(t)", "convex on positive", zero_at=1),
        divergence(r"D_f(p \| q)", "q f(p / q)"),
    )


def latent_variable_model(observed: int = 3, latent: int = 3) -> Model:
    """A joint ``p_\\theta(x, z)``, its marginals and conditionals, and a free encoder ``q_\\phi(z | x)``."""
    return model(
        finite("x", observed),
        finite("z", latent),
        distribution(r"p_\theta(x, z)"),
        distribution(r"q_\phi(z \mid x)"),
        define(r"p_\theta(x) = \sum_z p_\theta(x, z)"),
        define(r"p_\theta(z) = \sum_x p_\theta(x, z)"),
        define(r"p_\theta(x \mid z) = \frac{p_\theta(x, z)}{p_\theta(z)}"),
        define(r"p_\theta(z \mid x) = \frac{p_\theta(x, z)}{p_\theta(x)}"),
    )


def markov_chain(length: int = 3, states: int = 2) -> Model:
    """Transitions ``q(x_t | x_{t-1})`` and ``p_\\theta(x_{t-1} | x_t)``, different at every step."""
    return model(
        constant("T", length),
        finite("x_t", states),
        distribution("q(x_0)"),
        distribution(rf"p(x_{length})"),
        distribution(r"q(x_t \mid x_{t-1})", steps=(1, length)),
        distribution(r"p_\theta(x_{t-1} \mid x_t)", steps=(1, length)),
    )


def gaussian_diffusion(length: int = 3) -> Model:
    """A variance-preserving chain: ``\\beta_t``, what follows from it, and real ``x_t``."""
    return model(
        constant("T", length),
        index("t", 2, length),
        sequence(r"\beta", 1, length + 1, between(0, 1)),
        sequence("x", 0, length + 1),
        define(r"\alpha_t = 1 - \beta_t"),
        define(r"\bar\alpha_t = \prod_{s=1}^{t} \alpha_s"),
        define(r"\tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t} \beta_t"),
        define(
            r"\tilde\mu_t = \frac{\sqrt{\bar\alpha_{t-1}} \beta_t}{1 - \bar\alpha_t} x_0"
            r" + \frac{\sqrt{\alpha_t} \left(1 - \bar\alpha_{t-1}\right)}{1 - \bar\alpha_t} x_t"
        ),
        law(r"\epsilon \sim \mathcal{N}(0, 1)"),
    )


def two_player_game(outcomes: int = 3) -> Model:
    """Data ``p(x)``, generator ``q(x)``, any discriminator ``D(x)`` and the optimal one ``D^*(x)``."""
    return model(
        two_distributions(outcomes),
        table("a(x)"),
        define(r"D(x) = \frac{1}{1 + \exp(-a(x))}"),
        define(r"D^*(x) = \frac{p(x)}{p(x) + q(x)}"),
    )


def decision_process(states: int = 2, actions: int = 2) -> Model:
    """Transitions ``P(s' | s, a)``, rewards ``r(s, a)``, a policy ``\\pi_\\theta(a | s)``, any ``V(s)``."""
    return model(
        finite("s", states),
        finite("a", actions),
        vector(r"\theta"),
        between(0, 1, r"\gamma"),
        distribution(r"P(s' \mid s, a)"),
        table("r(s, a)"),
        table("V(s)"),
        distribution(r"\pi_\theta(a \mid s)", parameter=r"\theta"),
        define(r"Q(s, a) = r(s, a) + \gamma \sum_{s'} P(s' \mid s, a) V(s')"),
        define(r"A(s, a) = Q(s, a) - V(s)"),
    )


def attention(length: int = 3, size: int = 2) -> Model:
    """Queries, keys and values: matrices ``Q``, ``K``, ``V`` and one query ``q`` of the given sizes."""
    return model(
        constant("n", length),
        constant("d", size),
        index("i", 1, length),
        index("j", 1, length),
        matrix("Q", "K", "V", rows=length, columns=size),
        vector("q", size=size),
        define(r"u = \frac{K q}{\sqrt{d}}"),
        define(r"a_i = \frac{\exp(u_i)}{\sum_{j=1}^{n} \exp(u_j)}"),
    )


def linear_state_space(size: int = 2, length: int = 3) -> Model:
    """``x_k = A x_{k-1} + B u_k``, ``y_k = C x_k`` from rest, with scalar inputs ``u_k``."""
    return model(
        constant("L", length),
        index("k", 1, length),
        matrix("A", rows=size, columns=size),
        vector("B", "c", size=size),
        sequence("u", 1, length),
        define(r"C = c^\top"),
        define(r"x_0 = 0 B"),
        define(r"x_k = A x_{k-1} + B u_k"),
        define(r"y_k = C x_k"),
    )


def gaussians(size: int = 2) -> Model:
    """Two normal densities ``p(x)`` and ``q(x)`` with free means and covariances."""
    return model(
        vector(r"\mu", r"\nu", size=size),
        positive_definite(r"\Sigma", r"\Gamma", size=size),
        constant("d", size),
        define(r"p(x) = \mathcal{N}(x; \mu, \Sigma)"),
        define(r"q(x) = \mathcal{N}(x; \nu, \Gamma)"),
    )
