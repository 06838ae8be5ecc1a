"""What is refused, and how: the argument, what it must be, what came."""

import numpy as np
import pytest

from fenchel.diffusion import (
    DenoisingSampler,
    Descent,
    Energy,
    Entropy,
    GaussianMixture,
    ImplicitDiffusion,
    KLToReference,
    LangevinSampler,
    MLPEnergy,
    Reward,
    compare_gradients,
    effective_sample_size,
    implicit_expectation,
    implicit_gradient,
    importance_weights,
    langevin_step,
    resample,
    sde_adjoint,
)
from tests.diffusion.laws import draws, well

X, CENTER = draws(0, 6, 2), np.zeros(2)
F, ONES = X[:, 0], np.ones(6)
FIRST = Reward(lambda x: x[..., 0])
WALK = LangevinSampler(well, step_size=0.1, shape=(3, 2))
BACK = DenoisingSampler(lambda y, t, p: p - y, 1.0, 8, shape=(3, 2))
MIXTURE = GaussianMixture(X[:2])


def step(**changes):
    return langevin_step(well, X, CENTER, **{"step_size": 0.1, "rng": 0, **changes})


def oracle(**changes):
    return implicit_gradient(well, CENTER, X, F, **changes)


def adjoint(**changes):
    given = {"step_size": 0.1, "n_steps": 2, "terminal": np.sum, **changes}
    drift = given.pop("drift", lambda y, t, w: -w * y)
    return sde_adjoint(drift, np.asarray(1.0), np.ones(3), **given)


REFUSED = [
    (TypeError, "`energy` must be a function; got int", lambda: implicit_gradient(3, CENTER, X, F)),
    (
        TypeError,
        "`particles` must have a real floating dtype; got int64",
        lambda: implicit_gradient(well, CENTER, X.astype(int), F),
    ),
    (TypeError, "`ddof` must be an integer; got float", lambda: oracle(ddof=0.5)),
    (ValueError, "`ddof` must be at least 0; got ddof=-1", lambda: oracle(ddof=-1)),
    (TypeError, "`weights` must be an array of numpy; got list", lambda: oracle(weights=[1.0] * 6)),
    (
        ValueError,
        r"`weights` must have shape \(6,\); got \(3,\)",
        lambda: oracle(weights=np.ones(3)),
    ),
    (
        ValueError,
        "`weights` must be finite and at least 0; got 6 of 6",
        lambda: oracle(weights=np.full(6, np.inf)),
    ),
    (
        ValueError,
        "`weights` must be finite",
        lambda: implicit_expectation(lambda x: x, well, X, weights=-ONES),
    ),
    (
        TypeError,
        "`state` must be a SamplerState or an array; got list",
        lambda: implicit_expectation(lambda x: x, well, X.tolist()),
    ),
    (TypeError, "`step_size` must be a real number; got bool", lambda: step(step_size=True)),
    (ValueError, "`step_size` must be at most 1e", lambda: step(step_size=np.inf)),
    (TypeError, "`rng` must be an integer seed", lambda: step(rng=True)),
    (
        ValueError,
        r"`noise` must have shape \(6, 2\); got \(2,\)",
        lambda: step(rng=None, noise=np.zeros(2)),
    ),
    (
        TypeError,
        "`noise` must be a pair of normal and uniform numbers; got ndarray",
        lambda: step(rng=None, noise=X, adjust=True),
    ),
    (
        TypeError,
        "`x` must have a real floating dtype",
        lambda: langevin_step(well, X.astype(int), CENTER, 0.1, rng=0),
    ),
    (
        ValueError,
        r"`x` must have shape \(..., n, 2\); got \(3, 5\)",
        lambda: langevin_step(MIXTURE, np.zeros((3, 5)), CENTER, 0.1, rng=0),
    ),
    (
        ValueError,
        r"`logits` must have shape \(..., 2\); got \(5,\)",
        lambda: langevin_step(MIXTURE, X, np.zeros(5), 0.1, rng=0),
    ),
    (TypeError, "`means` must be an array; got list", lambda: GaussianMixture([[0.0]])),
    (ValueError, "not empty; got", lambda: GaussianMixture(np.zeros((0, 2)))),
    (ValueError, "`n` must be at least 0", lambda: MIXTURE.sample(0, CENTER, -1)),
    (TypeError, "`hidden` must be a tuple of widths; got int", lambda: MLPEnergy(5)),
    (
        ValueError,
        r"`x` must have shape \(..., 3\) for these `params`; got \(6, 2\)",
        lambda: MLPEnergy((4,))(X, MLPEnergy((4,)).init(0, 3, like=X)),
    ),
    (TypeError, "`fn` must be a function; got NoneType", lambda: Energy(None)),
    (TypeError, "`fn` must be a function; got int", lambda: Reward(3)),
    (
        TypeError,
        "`fn` of a Reward must return an array; got list",
        lambda: Reward(lambda x: [1.0]).value(well, CENTER, X),
    ),
    (ValueError, "not empty; got", lambda: FIRST.value(well, CENTER, X[:0])),
    (
        ValueError,
        "`temperature` must be above 0",
        lambda: Entropy().value(well, CENTER, X, temperature=-1.0),
    ),
    (
        ValueError,
        "`weights` must be finite and at least 0",
        lambda: KLToReference(X, "from_reference", weights=-ONES),
    ),
    (
        TypeError,
        "`batch_size` must be an integer; got float",
        lambda: KLToReference(X, "from_reference", batch_size=1.5),
    ),
    (
        ValueError,
        r"the event \(1,\) of the samples",
        lambda: KLToReference(X[:, :1], "from_reference").gradient(well, CENTER, X),
    ),
    (
        ValueError,
        "`reference` must return one number a particle",
        lambda: KLToReference(lambda x: x).gradient(well, CENTER, X),
    ),
    (
        TypeError,
        "`particles` must be an array; got list",
        lambda: importance_weights(well, X.tolist(), CENTER, CENTER),
    ),
    (TypeError, "`weights` must be an array; got list", lambda: effective_sample_size([1.0])),
    (ValueError, "must not all be 0", lambda: resample(X, np.zeros(6), 0.5)),
    (ValueError, "`uniform` must be below 1; got uniform=1", lambda: resample(X, ONES, 1.0)),
    (ValueError, r"`uniform` must have shape \(\)", lambda: resample(X, ONES, ONES / 2)),
    (ValueError, "`particles` must not be empty", lambda: resample(X[:0], ONES[:0], 0.5)),
    (
        TypeError,
        "`energy` must be an Energy",
        lambda: LangevinSampler(None, step_size=1, shape=(3,)),
    ),
    (
        TypeError,
        "`shape` must be a tuple",
        lambda: LangevinSampler(well, step_size=0.1, shape=3),
    ),
    (
        TypeError,
        "`n_steps` must be an integer; got float",
        lambda: LangevinSampler(well, step_size=0.1, shape=(3, 2), n_steps=1.5),
    ),
    (
        TypeError,
        "`start` must be an array; got list",
        lambda: WALK.init(0, CENTER, start=[[0.0, 0.0]] * 3),
    ),
    (
        TypeError,
        "`start` must have a real floating dtype",
        lambda: WALK.init(0, CENTER, start=np.zeros((3, 2), dtype=int)),
    ),
    (TypeError, "`steps` must be an integer", lambda: WALK.run(WALK.init(0, CENTER), CENTER, 1.5)),
    (
        ValueError,
        r"`noise` must have a leading axis of steps=5; got shape \(2, 3, 2\)",
        lambda: WALK.run(WALK.init(0, CENTER), CENTER, 5, noise=np.zeros((2, 3, 2))),
    ),
    (
        ValueError,
        r"`noise` must have shape \(3, 2\)",
        lambda: WALK.step(WALK.init(0, CENTER), CENTER, noise=np.zeros((4, 2))),
    ),
    (
        TypeError,
        "`start` must be an array, a function or None; got list",
        lambda: DenoisingSampler(BACK.score, 1.0, 8, shape=(3, 2), start=[0.0]),
    ),
    (
        ValueError,
        r"`start\(noise\)` must have shape \(3, 2\)",
        lambda: DenoisingSampler(BACK.score, 1.0, 8, shape=(3, 2), start=lambda z: z[:1]).init(
            0, CENTER
        ),
    ),
    (
        TypeError,
        "`objective` must be an Objective; got int",
        lambda: BACK.gradient(3, CENTER, np.zeros((9, 3, 2))),
    ),
    (TypeError, "`states` must be an array", lambda: BACK.gradient(FIRST, CENTER, [0.0])),
    (TypeError, "`terminal` must return an array", lambda: adjoint(terminal=lambda y: 1.0)),
    (TypeError, "`running` must return an array", lambda: adjoint(running=lambda y, t, w: 0.0)),
    (TypeError, "`drift` must be a function; got int", lambda: adjoint(drift=3)),
    (TypeError, "`sampler` must be a sampler", lambda: ImplicitDiffusion(3, FIRST, 0.1)),
    (
        TypeError,
        "`queue` must be an integer; got float",
        lambda: ImplicitDiffusion(BACK, FIRST, 0.1, queue=2.0),
    ),
    (TypeError, "`learning_rate` must be a real number; got str", lambda: Descent("fast")),
    (
        TypeError,
        "`methods` must be a sequence of names",
        lambda: compare_gradients(WALK, FIRST, CENTER, steps=2, methods="implicit"),
    ),
    (
        ValueError,
        "`reference` must have as many entries as `params`, 2; got 3",
        lambda: compare_gradients(WALK, FIRST, CENTER, steps=2, reference=np.ones(3)),
    ),
]


@pytest.mark.parametrize(("error", "match", "call"), REFUSED, ids=[case[1] for case in REFUSED])
def test_refused(error, match, call):
    with pytest.raises(error, match=match):
        call()


def test_integers_of_numpy_are_integers():
    expected = langevin_step(well, X, CENTER, 0.1, rng=3)
    np.testing.assert_array_equal(langevin_step(well, X, CENTER, 0.1, rng=np.int64(3)), expected)
    state = WALK.init(np.int64(3), CENTER)
    np.testing.assert_array_equal(state.x, WALK.init(3, CENTER).x)
    sampler = LangevinSampler(well, step_size=0.1, shape=[np.int64(3), 2])
    assert sampler.shape == (3, 2)
    assert WALK.run(state, CENTER, np.int64(2)).t == 2


def test_no_weight_leaves_no_particle(xp):
    assert float(xp.run(effective_sample_size, xp.array([0.0, 0.0]))) == 0.0


def test_keys_give_the_same_numbers_in_and_out_of_jit():
    jax = pytest.importorskip("jax")
    center = jax.numpy.zeros(2)

    def drawn(key):
        return WALK.run(WALK.init(key, center), center, 2).x

    found, expected = jax.jit(drawn)(jax.random.key(5)), drawn(jax.random.key(5))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_known_arrays_inside_jit():
    """What is closed over is traced there as well: no look at its values."""
    jax = pytest.importorskip("jax")
    x, f, weights = (jax.numpy.asarray(a) for a in (X, F, ONES))

    def gradient(center):
        return implicit_gradient(well, center, x, f, weights=weights)

    center = jax.numpy.zeros(2)
    np.testing.assert_allclose(jax.jit(gradient)(center), gradient(center), rtol=1e-6)
