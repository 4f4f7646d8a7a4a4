"""Every ready interpretation, on an identity of its setting and on a false one."""

from __future__ import annotations

import pytest

from proofread import library
from proofread.errors import Source
from proofread.interpret import Model
from proofread.judge import Case, judge_equation
from proofread.parser import parse

JOINT = r"\prod_{t=1}^{T} q(x_t \mid x_{t-1})"
CASES: list[tuple[str, Model, str, str]] = [
    (
        "two distributions",
        library.two_distributions(),
        r"D_{\mathrm{JS}}(p \| q) \le \log 2",
        r"D_{\mathrm{JS}}(p \| q) \ge D_{\mathrm{TV}}(p, q)",
    ),
    (
        "f-divergences",
        library.f_divergences(),
        r"D_f(p \| q) \ge 0",
        r"D_f(p \| q) = D_f(q \| p)",
    ),
    (
        "latent variables",
        library.latent_variable_model(),
        r"\KL{q_\phi(z \mid x)}{p_\theta(z)} = \E_{q_\phi(z \mid x)}\left[\log p_\theta(x \mid z)\right]"
        r" - \E_{q_\phi(z \mid x)}\left[\log \frac{p_\theta(x, z)}{q_\phi(z \mid x)}\right]",
        r"\KL{q_\phi(z \mid x)}{p_\theta(z)} = \KL{q_\phi(z \mid x)}{p_\theta(z \mid x)}",
    ),
    (
        "Markov chain",
        library.markov_chain(),
        r"\sum_{x_1} \sum_{x_2} \sum_{x_3} \prod_{t=1}^{T} q(x_t \mid x_{t-1}) = 1",
        r"\sum_{x_0} \sum_{x_1} \sum_{x_2} \prod_{t=1}^{T} q(x_t \mid x_{t-1}) = 1",
    ),
    (
        "Gaussian diffusion",
        library.gaussian_diffusion(),
        r"\frac{1}{\tilde\beta_t} = \frac{\alpha_t}{\beta_t} + \frac{1}{1 - \bar\alpha_{t-1}}",
        r"\frac{1}{\tilde\beta_t} = \frac{1}{\beta_t} + \frac{1}{1 - \bar\alpha_{t-1}}",
    ),
    (
        "game",
        library.two_player_game(),
        r"\E_{p(x)}\left[\log D(x)\right] + \E_{q(x)}\left[\log(1 - D(x))\right]"
        r" \le \E_{p(x)}\left[\log D^*(x)\right] + \E_{q(x)}\left[\log(1 - D^*(x))\right]",
        r"\E_{p(x)}\left[\log D(x)\right] \le \E_{p(x)}\left[\log D^*(x)\right]",
    ),
    (
        "decision process",
        library.decision_process(),
        r"\sum_a \pi_\theta(a \mid s) \nabla_\theta \log \pi_\theta(a \mid s) Q(s, a)".replace(
            r"\log \pi_\theta(a \mid s) Q", r"\left(\log \pi_\theta(a \mid s)\right) Q"
        )
        + r" = \sum_a \pi_\theta(a \mid s) \nabla_\theta \left(\log \pi_\theta(a \mid s)\right) A(s, a)",
        r"\sum_a \pi_\theta(a \mid s) Q(s, a) = V(s)",
    ),
    (
        "attention",
        library.attention(),
        r"V^\top \mathrm{softmax}\left(\frac{K q}{\sqrt d}\right) = \sum_{i=1}^{n} a_i V^\top \begin{pmatrix}"
        r" \mathbb{1}[i = 1] \\ \mathbb{1}[i = 2] \\ \mathbb{1}[i = 3] \end{pmatrix}",
        r"V^\top \mathrm{softmax}\left(\frac{K q}{\sqrt d}\right) = V^\top \mathrm{softmax}\left(K q\right)",
    ),
    (
        "state space",
        library.linear_state_space(),
        r"y_3 = C B u_3 + C A B u_2 + C A^2 B u_1",
        r"y_3 = C B u_3 + C A B u_1 + C A^2 B u_2",
    ),
    (
        "Gaussians",
        library.gaussians(),
        r"\E_{x \sim p}\left[(x - \nu)^\top \Gamma^{-1} (x - \nu)\right]"
        r" = \operatorname{tr}(\Gamma^{-1} \Sigma) + (\mu - \nu)^\top \Gamma^{-1} (\mu - \nu)",
        r"\E_{x \sim p}\left[(x - \nu)^\top \Gamma^{-1} (x - \nu)\right]"
        r" = \operatorname{tr}(\Gamma \Sigma) + (\mu - \nu)^\top \Gamma^{-1} (\mu - \nu)",
    ),
]


@pytest.mark.parametrize(("name", "meaning", "right", "wrong"), CASES, ids=[case[0] for case in CASES])
def test_ready_interpretation(name: str, meaning: Model, right: str, wrong: str) -> None:
    verdicts = []
    for latex in (right, wrong):
        source = Source(latex, name)
        (step,) = judge_equation(parse(source), Case(meaning, {}, source, draws=128))
        verdicts.append(step.verdict)
    assert verdicts[0] in ("proved", "holds numerically")
    assert verdicts[1] == "refuted"
