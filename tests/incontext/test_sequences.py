"""Contexts and their sequences: distributions, phases, norms, the same on every library."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel import namespace
from fenchel.autodiff import grad
from fenchel.incontext import (
    Context,
    ContextSampler,
    augment_tokens,
    companion,
    simulate_ar,
)
from fenchel.random import RandomStream

KINDS = ("unitary", "rotation", "orthogonal", "stable")


@pytest.mark.parametrize("kind", KINDS)
def test_same_sequences_on_every_library_and_the_recurrence_holds(xp, kind):
    sampler = ContextSampler(kind, 4)
    found, tokens = [], []
    for like in (np.zeros(1), xp.array(np.zeros(1))):
        context = sampler.sample(3, RandomStream(7), like=like)
        s = simulate_ar(context, 9, start="random", rng=RandomStream(8))
        read = np.asarray if like is not None and type(like) is np.ndarray else xp.numpy
        found.append(read(context.as_matrix()))
        tokens.append(read(s))
    assert_allclose(found[1], found[0], atol=1e-12)
    assert_allclose(tokens[1], tokens[0], atol=1e-12)
    moved = np.einsum("nij,ntj->nti", found[1], tokens[1][:, :-1])
    assert_allclose(tokens[1][:, 1:], moved, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_and_phases_stay_over_a_thousand_steps(kind, dtype):
    context = ContextSampler(kind, 6).sample(4, 0, like=np.zeros(1, dtype))
    s = simulate_ar(context, 1000)
    norms = np.linalg.norm(s, axis=-1)
    assert np.max(np.abs(norms / norms[:, :1] - 1)) < (1e-6 if dtype == np.float32 else 1e-12)
    if kind == "unitary":
        exact = np.exp(1j * np.longdouble(999) * context.angles.astype(np.longdouble))
        assert np.max(np.abs(s[:, -1] - exact)) < (1e-6 if dtype == np.float32 else 1e-12)


def test_derivatives_in_angles_and_matrices(xp, rng):
    angles, w = rng.uniform(0, 6, 2), np.linalg.qr(rng.standard_normal((3, 3)))[0]
    weight = rng.standard_normal((6, 4))

    def by_angles(x, array=xp.array):
        s = simulate_ar(Context("rotation", angles=x), 6)
        return namespace(s).sum(s * array(weight))

    def by_matrix(x, array=xp.array):
        s = simulate_ar(Context("stable", matrix=x), 6)
        return namespace(s).sum(s * array(weight[:, :3]))

    for f, x in ((by_angles, angles), (by_matrix, w)):
        numeric = np.zeros_like(x)
        for place in np.ndindex(x.shape):
            unit = np.zeros_like(x)
            unit[place] = 1e-6
            numeric[place] = (f(x + unit, np.asarray) - f(x - unit, np.asarray)) / 2e-6
        assert_allclose(xp.numpy(grad(f)(xp.array(x))), numeric, rtol=1e-6, atol=1e-7)


def test_distributions_of_contexts():
    angles = ContextSampler("unitary", 2, concentration=4.0).sample(4000, 0).angles
    assert angles.min() >= 0 and 0.49 * np.pi < angles.max() < 0.5 * np.pi
    w = ContextSampler("orthogonal", 3).sample(4000, 1).matrix
    assert_allclose(w @ w.mT, np.broadcast_to(np.eye(3), w.shape), atol=1e-12)
    # moments of the Haar measure: mean 0, E W_ij W_kl = delta delta / d, both signs of det
    assert np.max(np.abs(w.mean(0))) < 5 / np.sqrt(3 * 4000)
    second = np.einsum("nij,nkl->ijkl", w, w) / 4000
    expected = np.einsum("ik,jl->ijkl", np.eye(3), np.eye(3)) / 3
    assert np.max(np.abs(second - expected)) < 0.03
    assert abs(np.mean(np.linalg.det(w) > 0) - 0.5) < 0.05
    special = ContextSampler("orthogonal", 4, special=True).sample(50, 2).matrix
    assert_allclose(np.linalg.det(special), 1.0)
    stable = ContextSampler("stable", 5, radius=0.9).sample(50, 3).matrix
    moduli = np.abs(np.linalg.eigvals(stable))
    assert moduli.max() <= 0.9 + 1e-12 and moduli.min() >= 0.45 - 1e-12


def test_rotations_are_their_eigenvalues_in_pairs():
    context = ContextSampler("rotation", 4).sample(3, 0)
    eigenvalues = np.linalg.eigvals(context.as_matrix())
    pairs = np.exp(1j * context.diagonal().angles)
    assert_allclose(np.sort_complex(eigenvalues), np.sort_complex(pairs), atol=1e-12)
    assert context.dim == context.diagonal().dim == 4


def test_recurrence_of_higher_order():
    x = [1.0, 2.0]
    for _ in range(6):
        x.append(0.5 * x[-1] - 0.3 * x[-2])
    s = simulate_ar(companion(np.asarray([0.5, -0.3])), 7, start=np.asarray([2.0, 1.0]))
    assert_allclose(s[:, 0], x[1:])


def test_noise_has_the_asked_variance(xp):
    for kind in ("unitary", "orthogonal"):
        context = ContextSampler(kind, 3).sample(2000, 0, like=xp.array(np.zeros(1)))
        s = xp.numpy(simulate_ar(context, 3, noise=0.5, rng=RandomStream(1)))
        w = xp.numpy(context.as_matrix())
        noise = s[:, 1:] - np.einsum("nij,ntj->nti", w, s[:, :-1])
        assert abs(np.mean(np.abs(noise) ** 2) - 0.25) < 0.02
        assert abs(np.mean(noise)) < 0.02


def test_generators_choose_the_library(xp):
    if xp.name == "torch":
        import torch

        generator, kind = torch.Generator().manual_seed(0), torch.Tensor
    elif xp.name.startswith("jax"):
        import jax

        generator, kind = jax.random.key(0), jax.Array
    else:
        generator, kind = np.random.default_rng(0), np.ndarray
    assert isinstance(ContextSampler("orthogonal", 3).sample(2, generator).matrix, kind)


def test_augmented_tokens(xp, rng):
    s = rng.standard_normal((2, 4, 3))
    zero = xp.numpy(augment_tokens(xp.array(s)))
    previous = xp.numpy(augment_tokens(xp.array(s), "previous"))
    assert_allclose(zero[:, 1:], previous)
    assert_allclose(zero[..., 3:6], s)
    assert np.all(zero[..., :3] == 0) and np.all(zero[:, 0, 6:] == 0)
    assert_allclose(zero[:, 1:, 6:], s[:, :-1])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ContextSampler("rotation", 5), ValueError, "`dim` must be even"),
        (lambda: ContextSampler("haar", 5), ValueError, "`kind` must be one of"),
        (lambda: ContextSampler("unitary", 2, concentration=0.5), ValueError, "`concentration`"),
        (lambda: ContextSampler("unitary", 2).sample(-1, 0), ValueError, "`n` must be"),
        (lambda: ContextSampler("unitary", 2).sample(1, "seed"), TypeError, "`rng` must be"),
        (lambda: Context("unitary", matrix=np.eye(2)), ValueError, "`angles` alone must be given"),
        (lambda: Context("stable", matrix=np.ones((2, 3))), ValueError, "`matrix` must have"),
        (lambda: Context("unitary", angles=np.ones(2, int)), TypeError, "`angles` must have"),
        (lambda: Context("stable", matrix=np.eye(2)).diagonal(), ValueError, "`kind` must be"),
        (lambda: simulate_ar(companion(np.ones(2)), 0), ValueError, "`T` must be"),
        (lambda: simulate_ar(companion(np.ones(2)), 3, noise=1.0), ValueError, "`rng` must be"),
        (lambda: simulate_ar(companion(np.ones(2)), 3, noise=-1.0), ValueError, "`noise` must be"),
        (lambda: simulate_ar(companion(np.ones(2)), 3, start="one"), ValueError, "`start` must be"),
        (
            lambda: simulate_ar(companion(np.ones(2)), 3, start=np.ones(3)),
            ValueError,
            "`start` must have shape",
        ),
        (lambda: augment_tokens(np.ones((1, 2)), "previous"), ValueError, "at least 2 tokens"),
        (lambda: augment_tokens(np.ones((3, 2)), "one"), ValueError, "`first` must be one of"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("radius", [0.98, 1.02])
def test_norms_of_scaled_orthogonal_contexts_are_powers(radius):
    context = ContextSampler("orthogonal", 4, radius=radius).sample(3, 0)
    s = simulate_ar(Context("orthogonal", matrix=context.matrix.astype("float32")), 300)
    expected = np.broadcast_to(radius ** np.arange(300.0), (3, 300))
    np.testing.assert_allclose(np.linalg.norm(s, axis=-1), expected, rtol=1e-4)
