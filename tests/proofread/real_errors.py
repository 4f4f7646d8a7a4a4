"""Errors that published formulas and code had, or typically have, beside the correct form.

Each entry: what is wrong, an interpretation, the wrong statement, the right one.
"""

from __future__ import annotations

from dataclasses import dataclass

from proofread import (
    Model,
    between,
    constant,
    define,
    distribution,
    divergence,
    finite,
    index,
    law,
    line,
    matrix,
    model,
    positive,
    positive_definite,
    random_variables,
    real,
    sequence,
    table,
    vector,
)


@dataclass(frozen=True)
class RealError:
    """One error and its correction."""

    name: str
    meaning: Model
    wrong: str
    right: str
    algebra: bool = True  # whether SymPy is asked; it would only run into its time limit where this is False


latent = model(
    finite("x", 3),
    finite("z", 3),
    distribution(r"p_\theta(x, z)"),
    distribution(r"q_\phi(z \mid x)"),
    define(r"p_\theta(x) = \sum_z p_\theta(x, z)"),
    define(r"p_\theta(z \mid x) = \frac{p_\theta(x, z)}{p_\theta(x)}"),
)
pair = model(finite("x", 3), distribution("p(x)"), distribution("q(x)"), table("T(x)"))
gaussians = model(real(r"\mu", r"\nu"), positive(r"\sigma", r"\tau"))
chain = model(
    index("t", 2, 3),
    sequence(r"\beta", 1, 4, between(0, 1)),
    sequence("x", 0, 4),
    define(r"\alpha_t = 1 - \beta_t"),
    define(r"\bar\alpha_t = \prod_{s=1}^{t} \alpha_s"),
    real(r"\hat x_0"),
    define(r"\tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t} \beta_t"),
    define(r"s_t = \frac{\bar\alpha_t}{1 - \bar\alpha_t}"),
)
JOINT = (
    r"\frac{\Normal(x_t; \sqrt{\alpha_t} x_{t-1}, \beta_t) \Normal(x_{t-1}; \sqrt{\bar\alpha_{t-1}} x_0, 1 - \bar\alpha_{t-1})}"
    r"{\Normal(x_t; \sqrt{\bar\alpha_t} x_0, 1 - \bar\alpha_t)}"
)
MEAN = (
    r"\frac{\sqrt{\bar\alpha_{t-1}} \beta_t}{1 - \bar\alpha_t} x_0"
    r" + \frac{\sqrt{\alpha_t} \left(1 - \bar\alpha_{t-1}\right)}{1 - \bar\alpha_t} x_t"
)
SWAPPED_MEAN = (
    r"\frac{\sqrt{\bar\alpha_{t-1}} \beta_t}{1 - \bar\alpha_t} x_t"
    r" + \frac{\sqrt{\alpha_t} \left(1 - \bar\alpha_{t-1}\right)}{1 - \bar\alpha_t} x_0"
)
STEP = (
    rf"\KL{{\Normal\left({MEAN}, \tilde\beta_t\right)}}"
    rf"{{\Normal\left({MEAN.replace('x_0', chr(92) + 'hat x_0')}, \tilde\beta_t\right)}}"
)
noised = model(
    between(0.1, 0.9, "a"),
    real("x_0", r"\hat x_0", r"\epsilon"),
    define(r"x_t = \sqrt{a} x_0 + \sqrt{1 - a} \epsilon"),
)
diffused = model(
    between(0.1, 0.9, "a"),
    finite("x_0", 3),
    real("y"),
    distribution("p(x_0)"),
    define(r"q(y \mid x_0) = \Normal(y; \sqrt{a} x_0, 1 - a)"),
    define(r"q(y) = \sum_{x_0} p(x_0) q(y \mid x_0)"),
    define(r"p(x_0 \mid y) = \frac{p(x_0) q(y \mid x_0)}{q(y)}"),
)
policy = model(
    finite("a", 3),
    vector(r"\theta"),
    distribution(r"\pi_\theta(a)", parameter=r"\theta"),
    distribution(r"\mu(a)"),
    table("r(a)"),
    real("b"),
)
tilted = model(
    finite("y", 3),
    distribution(r"\rho(y)"),
    table("r(y)"),
    positive(r"\beta"),
    define(r"Z = \sum_y \rho(y) \exp(r(y) / \beta)"),
    define(r"\pi(y) = \frac{1}{Z} \rho(y) \exp(r(y) / \beta)"),
    define(r"\sigma(u) = \frac{1}{1 + \exp(-u)}"),
)
returns = model(
    index("t", 1, 3),
    between(0, 1, r"\gamma", r"\lambda"),
    sequence("r", 1, 6),
    sequence("V", 1, 7),
    define(r"\delta_t = r_t + \gamma V_{t+1} - V_t"),
    define(r"A_t = \sum_{l=0}^{6-t} (\gamma \lambda)^l \delta_{t+l}"),
)
ELBO = r"\E_{q_\phi(z \mid x)}\left[ \log \frac{p_\theta(x, z)}{q_\phi(z \mid x)} \right]"
ROTATION = r"\begin{pmatrix} \cos(#) & -\sin(#) \\ \sin(#) & \cos(#) \end{pmatrix}"
ROTATED = (
    r"\left("
    + ROTATION.replace("#", "m w")
    + r" q\right)^\top "
    + ROTATION.replace("#", "n w")
    + r" k = q^\top "
)

REAL_ERRORS = [
    RealError(
        "standard deviation for variance of the noised sample",
        model(
            between(0, 1, "a"),
            real("x_0"),
            law(r"\epsilon \sim \Normal(0, 1)"),
            define(r"x_t = \sqrt{a} x_0 + \sqrt{1 - a} \epsilon"),
        ),
        r"\Var\left[ x_t \right] = \sqrt{1 - a}",
        r"\Var\left[ x_t \right] = 1 - a",
    ),
    RealError(
        "index of the cosine schedule off by one",
        chain,
        r"\beta_t = 1 - \frac{\bar\alpha_{t+1}}{\bar\alpha_t}",
        r"\beta_t = 1 - \frac{\bar\alpha_t}{\bar\alpha_{t-1}}",
    ),
    RealError(
        "posterior variance of the reverse step is not β",
        chain,
        rf"{JOINT} = \Normal\left(x_{{t-1}}; {MEAN}, \beta_t\right)",
        rf"{JOINT} = \Normal\left(x_{{t-1}}; {MEAN}, \tilde\beta_t\right)",
        algebra=False,
    ),
    RealError(
        "coefficients of the posterior mean swapped",
        chain,
        rf"{JOINT} = \Normal\left(x_{{t-1}}; {SWAPPED_MEAN}, \tilde\beta_t\right)",
        rf"{JOINT} = \Normal\left(x_{{t-1}}; {MEAN}, \tilde\beta_t\right)",
        algebra=False,
    ),
    RealError(
        "weight of a step of the bound: signal-to-noise ratios in the wrong order",
        chain,
        rf"{STEP} = \frac12 \left( s_t - s_{{t-1}} \right) \left( x_0 - \hat x_0 \right)^2",
        rf"{STEP} = \frac12 \left( s_{{t-1}} - s_t \right) \left( x_0 - \hat x_0 \right)^2",
        algebra=False,
    ),
    RealError(
        "arguments of the divergence in the gap of the bound swapped",
        latent,
        rf"\log p_\theta(x) = {ELBO} + \KL{{p_\theta(z \mid x)}}{{q_\phi(z \mid x)}}",
        rf"\log p_\theta(x) = {ELBO} + \KL{{q_\phi(z \mid x)}}{{p_\theta(z \mid x)}}",
    ),
    RealError(
        "bound on the wrong side",
        latent,
        rf"\log p_\theta(x) \le {ELBO}",
        rf"\log p_\theta(x) \ge {ELBO}",
    ),
    RealError(
        "half missing in the divergence of Gaussians",
        gaussians,
        r"\KL{\Normal(\mu, \sigma^2)}{\Normal(\nu, \tau^2)} "
        r"= \log \frac{\tau}{\sigma} + \frac{\sigma^2 + (\mu - \nu)^2}{\tau^2} - \frac12",
        r"\KL{\Normal(\mu, \sigma^2)}{\Normal(\nu, \tau^2)} "
        r"= \log \frac{\tau}{\sigma} + \frac{\sigma^2 + (\mu - \nu)^2}{2 \tau^2} - \frac12",
    ),
    RealError(
        "sign of the closed-form divergence of a variational autoencoder",
        gaussians,
        r"\KL{\Normal(\mu, \sigma^2)}{\Normal(0, 1)} = \frac12 \left( 1 + \log \sigma^2 - \mu^2 - \sigma^2 \right)",
        r"\KL{\Normal(\mu, \sigma^2)}{\Normal(0, 1)} = -\frac12 \left( 1 + \log \sigma^2 - \mu^2 - \sigma^2 \right)",
    ),
    RealError(
        "log-variance read as log standard deviation",
        gaussians,
        r"\KL{\Normal(\mu, \sigma^2)}{\Normal(0, 1)} = -\frac12 \left( 1 + \log \sigma - \mu^2 - \sigma^2 \right)",
        r"\KL{\Normal(\mu, \sigma^2)}{\Normal(0, 1)} = -\frac12 \left( 1 + 2 \log \sigma - \mu^2 - \sigma^2 \right)",
    ),
    RealError(
        "sign of the score",
        gaussians.extended(real("x")),
        r"\nabla_x \log \Normal(x; \mu, \sigma^2) = \frac{x - \mu}{\sigma^2}",
        r"\nabla_x \log \Normal(x; \mu, \sigma^2) = -\frac{x - \mu}{\sigma^2}",
    ),
    RealError(
        "score and noise differ by the standard deviation",
        model(
            between(0.1, 0.9, "a"),
            real("x_0", "y"),
            define(r"\epsilon = \frac{y - \sqrt{a} x_0}{\sqrt{1 - a}}"),
        ),
        r"\nabla_y \log \Normal(y; \sqrt{a} x_0, 1 - a) = -\frac{\epsilon}{1 - a}",
        r"\nabla_y \log \Normal(y; \sqrt{a} x_0, 1 - a) = -\frac{\epsilon}{\sqrt{1 - a}}",
    ),
    RealError(
        "Tweedie's formula without the factor of the signal",
        diffused,
        r"\E_{p(x_0 \mid y)}\left[ x_0 \right] = y + (1 - a) \nabla_y \log q(y)",
        r"\E_{p(x_0 \mid y)}\left[ x_0 \right] = \frac{y + (1 - a) \nabla_y \log q(y)}{\sqrt{a}}",
        algebra=False,
    ),
    RealError(
        "minimum-SNR weight used for the wrong target",
        noised.extended(
            positive(r"\gamma"),
            define(r"s = \frac{a}{1 - a}"),
            define(r"\hat\epsilon = \frac{x_t - \sqrt{a} \hat x_0}{\sqrt{1 - a}}"),
        ),
        r"\min(s, \gamma) \left(x_0 - \hat x_0\right)^2 = \min(s, \gamma) \left(\epsilon - \hat\epsilon\right)^2",
        r"\min(s, \gamma) \left(x_0 - \hat x_0\right)^2 = \frac{\min(s, \gamma)}{s} \left(\epsilon - \hat\epsilon\right)^2",
    ),
    RealError(
        "clamp of the minimum-SNR weight in the wrong direction",
        noised.extended(positive(r"\gamma"), define(r"s = \frac{a}{1 - a}")),
        r"\frac{\max(s, \gamma)}{s} \le 1",
        r"\frac{\min(s, \gamma)}{s} \le 1",
    ),
    RealError(
        "velocity target with the wrong sign",
        noised.extended(define(r"v = \sqrt{a} \epsilon - \sqrt{1 - a} x_0")),
        r"x_0 = \sqrt{a} x_t + \sqrt{1 - a} v",
        r"x_0 = \sqrt{a} x_t - \sqrt{1 - a} v",
    ),
    RealError(
        "Jensen's inequality in the wrong direction",
        model(finite("x", 3), distribution("p(x)"), table("f(x)", "positive")),
        r"\log \E_{p(x)}\left[ f(x) \right] \le \E_{p(x)}\left[ \log f(x) \right]",
        r"\log \E_{p(x)}\left[ f(x) \right] \ge \E_{p(x)}\left[ \log f(x) \right]",
    ),
    RealError(
        "optimal discriminator of the wrong class",
        pair.extended(define(r"\sigma(u) = \frac{1}{1 + \exp(-u)}")),
        r"\frac{p(x)}{p(x) + q(x)} = \sigma\left( \log \frac{q(x)}{p(x)} \right)",
        r"\frac{p(x)}{p(x) + q(x)} = \sigma\left( \log \frac{p(x)}{q(x)} \right)",
    ),
    RealError(
        "constant of the adversarial game: log 4, not log 2",
        pair.extended(
            define(r"m(x) = \frac12 p(x) + \frac12 q(x)"), define(r"D(x) = \frac{p(x)}{p(x) + q(x)}")
        ),
        r"\E_{p(x)}\left[ \log D(x) \right] + \E_{q(x)}\left[ \log (1 - D(x)) \right] "
        r"= \KL{p}{m} + \KL{q}{m} - \log 2",
        r"\E_{p(x)}\left[ \log D(x) \right] + \E_{q(x)}\left[ \log (1 - D(x)) \right] "
        r"= \KL{p}{m} + \KL{q}{m} - \log 4",
    ),
    RealError(
        "constant in Pinsker's inequality",
        pair.extended(divergence(r"\TV{p}{q}", r"\frac12 \left| p - q \right|")),
        r"\TV{p}{q} \le \frac12 \sqrt{\KL{p}{q}}",
        r"\TV{p}{q} \le \sqrt{\frac12 \KL{p}{q}}",
    ),
    RealError(
        "Donsker and Varadhan's bound with the distributions exchanged",
        pair,
        r"\KL{p}{q} \ge \E_{q(x)}\left[ T(x) \right] - \log \E_{p(x)}\left[ \exp(T(x)) \right]",
        r"\KL{p}{q} \ge \E_{p(x)}\left[ T(x) \right] - \log \E_{q(x)}\left[ \exp(T(x)) \right]",
    ),
    RealError(
        "conjugate of t log t without the minus one",
        model(between(-2, 2, "y"), line("t", 0.000001, 60)),
        r"\sup_t \left( t y - t \log t \right) = \exp(y)",
        r"\sup_t \left( t y - t \log t \right) = \exp(y - 1)",
    ),
    RealError(
        "score-function estimator without the logarithm",
        policy,
        r"\nabla_\theta \E_{\pi_\theta(a)}\left[ r(a) \right] = \E_{\pi_\theta(a)}\left[ r(a) \nabla_\theta \pi_\theta(a) \right]",
        r"\nabla_\theta \E_{\pi_\theta(a)}\left[ r(a) \right] "
        r"= \E_{\pi_\theta(a)}\left[ (r(a) - b) \nabla_\theta \log \pi_\theta(a) \right]",
    ),
    RealError(
        "importance ratio inverted",
        policy,
        r"\E_{\pi_\theta(a)}\left[ r(a) \right] = \E_{\mu(a)}\left[ \frac{\mu(a)}{\pi_\theta(a)} r(a) \right]",
        r"\E_{\pi_\theta(a)}\left[ r(a) \right] = \E_{\mu(a)}\left[ \frac{\pi_\theta(a)}{\mu(a)} r(a) \right]",
    ),
    RealError(
        "Fisher information without its minus sign",
        policy.extended(define(r"g = \nabla_\theta \log \pi_\theta(a)")),
        r"\E_{\pi_\theta(a)}\left[ g g^\top \right] "
        r"= \E_{\pi_\theta(a)}\left[ \nabla_\theta^2 \log \pi_\theta(a) \right]",
        r"\E_{\pi_\theta(a)}\left[ g g^\top \right] "
        r"= -\E_{\pi_\theta(a)}\left[ \nabla_\theta^2 \log \pi_\theta(a) \right]",
    ),
    RealError(
        "recursion of generalised advantages without λ",
        returns,
        r"A_t = \delta_t + \gamma A_{t+1}",
        r"A_t = \delta_t + \gamma \lambda A_{t+1}",
    ),
    RealError(
        "temporal difference with the value of the wrong step",
        returns.extended(define(r"R_t = \sum_{l=0}^{6-t} \gamma^l r_{t+l} + \gamma^{7-t} V_7")),
        r"R_t - V_t = \sum_{l=0}^{6-t} \gamma^l \left( r_{t+l} + V_{t+l+1} - \gamma V_{t+l} \right)",
        r"R_t - V_t = \sum_{l=0}^{6-t} \gamma^l \left( r_{t+l} + \gamma V_{t+l+1} - V_{t+l} \right)",
    ),
    RealError(
        "clipped surrogate on the wrong side",
        model(positive(r"\rho"), real("A"), between(0.05, 0.5, r"\varepsilon")),
        r"\min\left( \rho A, \max\left(1 - \varepsilon, \min(\rho, 1 + \varepsilon)\right) A \right) \ge \rho A",
        r"\min\left( \rho A, \max\left(1 - \varepsilon, \min(\rho, 1 + \varepsilon)\right) A \right) \le \rho A",
    ),
    RealError(
        "sign of the preference loss",
        tilted.extended(index("w", 1, 1)),
        r"\E_{\pi(y)}\left[ r(y) \right] = \E_{\pi(y)}\left[ -\beta \log \frac{\pi(y)}{\rho(y)} \right] + \beta \log Z",
        r"\E_{\pi(y)}\left[ r(y) \right] = \E_{\pi(y)}\left[ \beta \log \frac{\pi(y)}{\rho(y)} \right] + \beta \log Z",
    ),
    RealError(
        "preference probability with winner and loser exchanged",
        tilted,
        r"\sigma\left(r(y) - r(y')\right) = \sigma\left( \beta \log \frac{\pi(y')}{\rho(y')} - \beta \log \frac{\pi(y)}{\rho(y)} \right)",
        r"\sigma\left(r(y) - r(y')\right) = \sigma\left( \beta \log \frac{\pi(y)}{\rho(y)} - \beta \log \frac{\pi(y')}{\rho(y')} \right)",
    ),
    RealError(
        "temperature of the regularised optimum inverted",
        tilted,
        r"\E_{\pi(y)}\left[ r(y) \right] - \frac{1}{\beta} \KL{\pi}{\rho} = \beta \log Z",
        r"\E_{\pi(y)}\left[ r(y) \right] - \beta \KL{\pi}{\rho} = \beta \log Z",
    ),
    RealError(
        "transposed Jacobian",
        model(vector("x", "b"), matrix("A")),
        r"\nabla_x \left( b^\top A x \right) = A b",
        r"\nabla_x \left( b^\top A x \right) = A^\top b",
    ),
    RealError(
        "sign of the log-determinant",
        model(vector("z", "m"), matrix("A"), define("x = A z + m")),
        r"\log \Normal(x; m, A A^\top) = \log \Normal(z; 0, I) + \log \left| \det A \right|",
        r"\log \Normal(x; m, A A^\top) = \log \Normal(z; 0, I) - \log \left| \det A \right|",
    ),
    RealError(
        "gradient of the log-determinant not inverted",
        model(positive_definite("S"), vector("x", "m")),
        r"\nabla_m \log \Normal(x; m, S) = S (x - m)",
        r"\nabla_m \log \Normal(x; m, S) = S^{-1} (x - m)",
    ),
    RealError(
        "sign in the Jacobian of the softmax",
        model(
            vector("u", size=3),
            index("i", 1, 3),
            index("j", 1, 3),
            index("k", 1, 3),
            define(r"p_i = \frac{\exp(u_i)}{\sum_{k=1}^{3} \exp(u_k)}"),
        ),
        r"\frac{\partial}{\partial u_j} p_i = p_i \left( \mathbb{1}[i = j] + p_j \right)",
        r"\frac{\partial}{\partial u_j} p_i = p_i \left( \mathbb{1}[i = j] - p_j \right)",
    ),
    RealError(
        "variance of a dot product is the dimension, not its root",
        model(constant("d", 2), vector("a"), law(r"k \sim \Normal(0, I)")),
        r"\Var\left[ a^\top k \right] = \sqrt{a^\top a}",
        r"\Var\left[ a^\top k \right] = a^\top a",
    ),
    RealError(
        "rotary embedding depends on the difference of positions, in this order",
        model(vector("q", "k"), real("m", "n"), positive("w")),
        ROTATED + ROTATION.replace("#", "(m - n) w") + " k",
        ROTATED + ROTATION.replace("#", "(n - m) w") + " k",
    ),
    RealError(
        "zero-order hold with Euler's input matrix",
        model(real("A", "B"), positive(r"\Delta")),
        r"\int_0^\Delta \exp(A s) B \,\mathrm d s = \Delta B",
        r"\int_0^\Delta \exp(A s) B \,\mathrm d s = \frac{\exp(\Delta A) - 1}{A} B",
    ),
    RealError(
        "bilinear transform with the signs exchanged",
        model(
            between(-2, -0.1, "A"),
            positive(r"\Delta"),
            real("x"),
            define(r"y = \frac{1 - \frac12 \Delta A}{1 + \frac12 \Delta A} x"),
            define(r"z = \frac{1 + \frac12 \Delta A}{1 - \frac12 \Delta A} x"),
        ),
        r"y - x = \frac12 \Delta A (y + x)",
        r"z - x = \frac12 \Delta A (z + x)",
    ),
    RealError(
        "bias not squared in the decomposition of the mean squared error",
        model(random_variables("X"), real("c")),
        r"\E\left[ (X - c)^2 \right] = \Var\left[ X \right] + \left( \E\left[ X \right] - c \right)",
        r"\E\left[ (X - c)^2 \right] = \Var\left[ X \right] + \left( \E\left[ X \right] - c \right)^2",
    ),
    RealError(
        "variance of a sum without the covariance",
        model(random_variables("X", "Y")),
        r"\Var\left[ X + Y \right] = \Var\left[ X \right] + \Var\left[ Y \right]",
        r"\Var\left[ X + Y \right] = \Var\left[ X \right] + \Var\left[ Y \right] + 2 \Cov\left[ X, Y \right]",
    ),
    RealError(
        "guidance scale counted from the wrong model",
        model(real("x", "m", "n"), positive("w")),
        r"\nabla_x \log \frac{\Normal(x; m, 1)^{1+w}}{\Normal(x; n, 1)^{w}} = w (m - x) + (1 + w) (x - n)",
        r"\nabla_x \log \frac{\Normal(x; m, 1)^{1+w}}{\Normal(x; n, 1)^{w}} = (1 + w) (m - x) - w (n - x)",
    ),
]
