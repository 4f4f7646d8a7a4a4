"""``agm.ngram`` against scikit-learn's n-gram counter, NumPy's sliding windows and exact fractions."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from agm.ngram import NGram, windows
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer

from tests.oracles.inputs import SEEDS, agree, integers, numbers, tensor

each_seed = pytest.mark.parametrize("seed", SEEDS)
ALPHABET = "abcd"


def sequence(seed: int, time: int = 60) -> np.ndarray:
    return numbers(seed).choice(len(ALPHABET), size=time, p=[0.5, 0.3, 0.15, 0.05])


@each_seed
@pytest.mark.parametrize("length", [0, 1, 3])
def test_windows_are_numpys_sliding_ones(seed: int, length: int) -> None:
    ids = sequence(seed)
    padded = np.concatenate([np.full(length, 2), ids])
    oracle = np.lib.stride_tricks.sliding_window_view(padded, length + 1)
    contexts, targets = windows(integers(ids), length, start=2)
    agree(contexts, oracle[:, :-1][:, ::-1])
    agree(targets, oracle[:, -1])


def grams(ids: np.ndarray, length: int) -> Counter[str]:
    """Counts of all n-grams of up to ``length`` + 1 letters of the padded sequence, by scikit-learn."""
    text = "a" * length + "".join(ALPHABET[i] for i in ids)
    counter = CountVectorizer(analyzer="char", ngram_range=(1, length + 1))
    row = counter.fit_transform([text]).toarray()[0]
    return Counter({gram: int(row[column]) for gram, column in counter.vocabulary_.items()})


def witten_bell(context: str, counts: Counter[str]) -> dict[str, Fraction]:
    """Witten and Bell's (1991) interpolation in exact arithmetic; the context in reading order."""
    shorter = (
        witten_bell(context[1:], counts) if context else {c: Fraction(1, len(ALPHABET)) for c in ALPHABET}
    )
    total = sum(counts[context + letter] for letter in ALPHABET)
    kinds = sum(counts[context + letter] > 0 for letter in ALPHABET)
    if total == 0:
        return shorter
    return {c: (counts[context + c] + kinds * shorter[c]) / Fraction(total + kinds) for c in ALPHABET}


@each_seed
@pytest.mark.parametrize("length", [1, 2, 3])
def test_probabilities_are_witten_bells_for_seen_and_unseen_contexts(seed: int, length: int) -> None:
    ids = sequence(seed)
    # The package counts each target once; counting n-grams in the padded text counts the padding, too.
    counts = grams(ids, length)
    for shorter in range(length):  # grams that end within the padding have no target
        for n in range(1, shorter + 2):
            if n + (length - shorter - 1) <= length:
                counts["a" * n] -= 1
    model = NGram.fit(*windows(integers(ids), length, start=0), len(ALPHABET))
    contexts = np.stack(np.meshgrid(*[np.arange(4)] * length, indexing="ij"), -1).reshape(-1, length)
    oracle = []
    for context in contexts:
        exact = witten_bell("".join(ALPHABET[i] for i in context[::-1]), counts)
        oracle.append([float(exact[c]) for c in ALPHABET])
    agree(model.probabilities(integers(contexts)), oracle)


@each_seed
def test_log_prob_is_that_of_torch_categoricals(seed: int) -> None:
    contexts, targets = windows(integers(sequence(seed)), 2, start=0)
    model = NGram.fit(contexts, targets, len(ALPHABET))
    other, next_ones = windows(integers(sequence(seed + 50)), 2, start=0)
    oracle = torch.distributions.Categorical(probs=model.probabilities(other), validate_args=True)
    agree(model.log_prob(other, next_ones), oracle.log_prob(next_ones))
    by_length = model.log_prob_by_length(other, next_ones)
    for length in range(3):
        agree(model.shortened(length).log_prob(other[:, :length], next_ones), by_length[length])


@each_seed
def test_continuation_follows_the_conditional_probabilities(seed: int) -> None:
    """Symbols after one and the same context, drawn again and again, pass a chi-squared test."""
    model = NGram.fit(*windows(integers(sequence(seed)), 2, start=0), len(ALPHABET))
    source = torch.Generator().manual_seed(seed)
    prompt = integers([3, 1, 0])
    draws = [int(model.continue_sequence(prompt, 1, source)) for _ in range(800)]
    expected = model.probabilities(prompt.flip(0)[None, :2])[0].numpy()
    assert stats.chisquare(np.bincount(draws, minlength=4), 800 * expected).pvalue > 1e-3


def test_no_context_is_a_smoothed_histogram() -> None:
    ids = sequence(0)
    model = NGram.fit(*windows(integers(ids), 0, start=0), len(ALPHABET))
    counts = np.bincount(ids, minlength=4)
    kinds = np.count_nonzero(counts)
    agree(
        model.probabilities(integers(np.zeros((1, 0)))), tensor([(counts + kinds / 4) / (len(ids) + kinds)])
    )


def test_ngram_of_bytes_counts_like_any_other() -> None:
    ids = integers(numbers(0).integers(0, 200, size=300))
    contexts, targets = windows(ids, 2, start=0)
    whole, found = (NGram.fit(c, t, 200) for c, t in ((contexts, targets), (contexts.byte(), targets.byte())))
    agree(found.levels[2].pairs, whole.levels[2].pairs)
    agree(found.log_prob(contexts.byte(), targets.byte()), whole.log_prob(contexts, targets))


IDS = integers(sequence(0))
BIGRAM = NGram.fit(*windows(IDS, 1, start=0), 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: BIGRAM.log_prob(integers([[0]]), integers([4])), ValueError, "targets"),
        (lambda: BIGRAM.log_prob(integers([[-1]]), integers([0])), ValueError, "contexts"),
        (lambda: BIGRAM.log_prob(integers([[0], [1]]), integers([0])), ValueError, "as many"),
        (lambda: BIGRAM.log_prob(tensor([[0.0]]), integers([0])), TypeError, "whole numbers"),
        (lambda: NGram.fit(integers(np.zeros((0, 1))), integers([]), 4), ValueError, "at least one"),
        (lambda: BIGRAM.shortened(-1), ValueError, "length"),
        (lambda: BIGRAM.continue_sequence(integers([]), 3, torch.Generator()), ValueError, "at least 1"),
        (lambda: BIGRAM.continue_sequence(integers([7]), 3, torch.Generator()), ValueError, "prompt"),
        (
            lambda: NGram.fit(*windows(IDS, 1, start=0), 4, n_context_symbols=9).continue_sequence(
                IDS, 3, torch.Generator()
            ),
            ValueError,
            "another alphabet",
        ),
    ],
)
def test_meaningless_questions_are_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
