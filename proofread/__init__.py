"""Checks displayed derivations, line by line, from the LaTeX that the reader sees.

Two independent witnesses judge each relation of each labelled equation: random draws of numbers (NumPy and
JAX, float64) and exact algebra (SymPy). See ``proofread.chapter`` for how a chapter declares its checks and
``proofread.declare`` for the vocabulary of interpretations.
"""

from proofread import library
from proofread.chapter import check_file
from proofread.claims import assumption, by_hand, check, cited, definition
from proofread.declare import (
    assume,
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
    orthogonal,
    positive,
    positive_definite,
    random_variables,
    real,
    sequence,
    subset,
    symmetric,
    table,
    vector,
)
from proofread.errors import ProofreadError
from proofread.functions import function
from proofread.interpret import Model, model
from proofread.ledger import EquationResult
from proofread.parser import parse
from proofread.pretty import pretty

__all__ = [
    "EquationResult",
    "Model",
    "ProofreadError",
    "assume",
    "assumption",
    "between",
    "by_hand",
    "check",
    "check_file",
    "cited",
    "constant",
    "define",
    "definition",
    "distribution",
    "divergence",
    "finite",
    "function",
    "index",
    "law",
    "library",
    "line",
    "matrix",
    "model",
    "orthogonal",
    "parse",
    "positive",
    "positive_definite",
    "pretty",
    "random_variables",
    "real",
    "sequence",
    "subset",
    "symmetric",
    "table",
    "vector",
]
