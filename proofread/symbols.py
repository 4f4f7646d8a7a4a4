"""The commands of the dialect, by their role."""

from __future__ import annotations

RELATIONS = {
    "=",
    "<",
    ">",
    r"\le",
    r"\ge",
    r"\ne",
    r"\approx",
    r"\equiv",
    r"\propto",
    r"\coloneqq",
    r"\in",
    r"\sim",
    r"\to",
    r"\downarrow",
    r"\uparrow",
    r"\mapsto",
    r"\subset",
    r"\subseteq",
    r"\notin",
    r"\ll",
    r"\gg",
    r"\perp",
}
CONNECTIVES = {r"\iff", r"\implies"}
_GREEK_WORDS = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi varpi rho
varrho sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi
Psi Omega
"""
GREEK = {"\\" + word for word in _GREEK_WORDS.split()}
PLAIN_NAMES = GREEK | {
    r"\ell",
    r"\infty",
    r"\emptyset",
    r"\Pr",
    r"\Re",
    r"\Im",
    r"\hbar",
    r"\imath",
    r"\jmath",
    r"\bot",
    r"\dagger",
    r"\circ",
}
FONTS = {
    r"\mathbf",
    r"\mathcal",
    r"\mathbb",
    r"\mathrm",
    r"\mathsf",
    r"\mathit",
    r"\mathtt",
    r"\mathfrak",
    r"\boldsymbol",
    r"\operatorname",
    r"\bm",
    r"\mathscr",
}
ACCENTS = {
    r"\bar",
    r"\hat",
    r"\tilde",
    r"\vec",
    r"\dot",
    r"\ddot",
    r"\check",
    r"\widehat",
    r"\widetilde",
    r"\overline",
    r"\breve",
    r"\acute",
    r"\grave",
    r"\mathring",
}
PREFIX_FUNCTIONS = {
    r"\log",
    r"\ln",
    r"\exp",
    r"\sin",
    r"\cos",
    r"\tan",
    r"\tanh",
    r"\sinh",
    r"\cosh",
    r"\det",
    r"\arctan",
    r"\lg",
    r"\arcsin",
    r"\arccos",
}
PREFIX_NAMES = {
    r"\mathrm{tr}",
    r"\mathrm{diag}",
    r"\mathrm{rank}",
    r"\mathrm{sign}",
    r"\mathrm{softplus}",
    r"\mathrm{vec}",
    r"\mathrm{Tr}",
}
STATISTICS = {r"\mathbb{E}": "E", r"\mathrm{Var}": "Var", r"\mathrm{Cov}": "Cov", r"\mathbb{V}": "Var"}
EXTREMA = {r"\max": "max", r"\min": "min", r"\sup": "sup", r"\inf": "inf"}
BIG = {r"\sum": "sum", r"\prod": "prod", **EXTREMA, r"\arg": "arg", r"\lim": "lim"}
PRODUCT_KINDS = {r"\odot", r"\otimes", r"\setminus", r"\cup", r"\cap"}
OTHER_COMMANDS = (
    RELATIONS
    | CONNECTIVES
    | PRODUCT_KINDS
    | {
        r"\mid",
        r"\cdot",
        r"\times",
        r"\top",
        r"\prime",
        r"\quad",
        r"\rangle",
        r"\end",
        r"\overset",
        r"\stackrel",
    }
)
ELLIPSES = {r"\ldots", r"\cdots", r"\dots", r"\vdots", r"\ddots", r"\dotsc", r"\dotsb"}
REFUSED = {
    **{
        rf"\{size}{end}": r"write \left( … \right)"
        for size in ("big", "Big", "bigg", "Bigg")
        for end in ("", "l", "r")
    },
    r"\tag": "label the equation instead",
    r"\ensuremath": "leave it out",
    r"\operatorname*": r"write \arg\min or \arg\max",
    r"\over": r"write \frac{…}{…}",
    r"\pm": "write the two statements",
    r"\mp": "write the two statements",
}
