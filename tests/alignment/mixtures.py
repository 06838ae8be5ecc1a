"""A reference and aligned models of a language whose responses can be listed."""

import numpy as np

from fenchel.special import logsumexp
from fenchel.testing import EnumeratedLanguage

LANGUAGE = EnumeratedLanguage(n_tokens=4, max_length=3, end_token=0)
SFT, ALIGNED, THIRD = (LANGUAGE.random_logits(seed) for seed in range(3))
INF = float("inf")


def log_softmax(x):
    return x - logsumexp(x, keepdims=True)


def probabilities(log_weights):
    return np.exp(log_weights - np.logaddexp.reduce(log_weights))


def mixture_of_sequences(strength, temperature=1.0):
    log_p = (1 - strength) * LANGUAGE.log_probs(SFT) + strength * LANGUAGE.log_probs(ALIGNED)
    return probabilities(log_p / temperature)


def seed_of(xp):
    if xp.name.startswith("jax"):
        import jax

        return jax.random.key(1)
    return 1
