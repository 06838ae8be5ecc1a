"""Random draws: known answers, the same numbers everywhere, and the laws they follow."""

import os
import pickle

import numpy as np
import pytest

from fenchel import random
from fenchel.random import RandomStream, philox4x32

# Known answers published with Random123 for philox4x32-10: counter, key, words.
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize("dtype", ["int64", "uint32", "uint64"])
def test_known_answers(xp, dtype):
    if xp.name == "torch" and dtype != "int64":
        pytest.skip("torch has no arithmetic on unsigned words")
    counter = xp.array([row[0] for row in KNOWN], dtype=dtype)
    key = xp.array([row[1] for row in KNOWN], dtype=dtype)
    words = xp.run(philox4x32, counter, key)
    assert words.dtype == counter.dtype
    np.testing.assert_array_equal(xp.numpy(words).astype("int64"), [row[2] for row in KNOWN])


def test_keys_broadcast():
    counter = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    key = np.asarray([[1, 2]], dtype=np.int64)
    np.testing.assert_array_equal(philox4x32(counter, key)[1, 2], philox4x32(counter[1, 2], key[0]))


def test_words_must_fit(xp):
    with pytest.raises(ValueError, match="`counter` must have length 4"):
        philox4x32(xp.array([0, 1], dtype="int64"), xp.array([0, 0], dtype="int64"))
    with pytest.raises(TypeError, match="`key` must be uint32, uint64 or int64"):
        philox4x32(xp.array([0] * 4, dtype="int64"), xp.array([0, 0], dtype="int16"))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_stream_is_the_same_on_every_library(xp, dtype):
    stream = RandomStream(12345678901234567890, step=3)
    like, host = xp.array([0.0], dtype=dtype), np.zeros(1, dtype=dtype)
    uniform = xp.run(lambda x: stream.uniform((5, 3), like=x), like)
    assert uniform.dtype == like.dtype
    np.testing.assert_array_equal(xp.numpy(uniform), stream.uniform((5, 3), like=host))
    normal = xp.run(lambda x: stream.normal((5, 3), like=x), like)
    tolerance = 1e-14 if dtype == "float64" else 2e-6
    np.testing.assert_allclose(
        xp.numpy(normal), stream.normal((5, 3), like=host), rtol=tolerance, atol=tolerance
    )


def test_without_wide_integers(tmp_path):
    """JAX as it comes has no 64-bit integers: the words are mixed in 32 bits."""
    pytest.importorskip("jax")
    import subprocess
    import sys

    code = (
        "import jax.numpy as jnp; from fenchel.random import RandomStream;"
        "print(*RandomStream(7).uniform((4,), like=jnp.zeros(1)).tolist())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"JAX_ENABLE_X64": "0"},
    )
    expected = RandomStream(7).uniform((4,), like=np.zeros(1, dtype="float32"))
    np.testing.assert_array_equal([float(v) for v in found.stdout.split()], expected)


def test_a_stream_is_immutable_and_picklable():
    like = np.zeros(1)
    stream = RandomStream(5)
    np.testing.assert_array_equal(stream.normal((4,), like=like), stream.normal((4,), like=like))
    assert pickle.loads(pickle.dumps(stream.next())) == stream.next()
    fresh = [stream, stream.next(), *stream.split(3)]
    draws = np.stack([s.uniform((50,), like=like) for s in fresh])
    assert len(np.unique(draws)) == draws.size


def test_a_stream_in_a_compiled_loop():
    jax = pytest.importorskip("jax")
    like = jax.numpy.zeros(1)
    final, draws = jax.lax.scan(
        lambda s, _: (s.next(), s.normal((2,), like=like)), RandomStream(1), None, length=3
    )
    assert int(final.step) == 3
    for step, row in enumerate(np.asarray(draws)):
        expected = RandomStream(1, step=step).normal((2,), like=like)
        np.testing.assert_allclose(row, np.asarray(expected), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_many_positions_draw_what_each_would(xp, dtype):
    like, host = xp.array([0.0], dtype=dtype), np.zeros(1, dtype=dtype)
    steps, numbers = [0, 5, 2**31], [1, 2, 0]
    many = RandomStream(3, step=xp.array(steps), stream=xp.array(numbers))
    for law in ("normal", "uniform"):
        found = xp.numpy(getattr(many, law)((3, 7, 2), like=like))
        for i, place in enumerate(zip(steps, numbers, strict=True)):
            alone = RandomStream(3, step=place[0], stream=place[1])
            expected = getattr(alone, law)((7, 2), like=host)
            tolerance = 1e-14 if dtype == "float64" else 2e-6
            np.testing.assert_allclose(found[i], expected, rtol=tolerance, atol=tolerance)
    with pytest.raises(ValueError, match=r"`shape` must begin with the shape \(3,\)"):
        many.normal((2, 3), like=like)


def test_stream_errors():
    with pytest.raises(TypeError, match="`seed` must be an integer; got float"):
        RandomStream(0.5)
    with pytest.raises(ValueError, match=r"`step` must be in \[0, 2\^32\); got step=-1"):
        RandomStream(0, step=-1)
    with pytest.raises(TypeError, match="`like` must have a real floating dtype"):
        RandomStream(0).normal((2,), like=np.arange(2))


LAWS = {  # mean, variance
    "normal": (0, 1),
    "uniform": (1 / 2, 1 / 12),
    "exponential": (1, 1),
    "gumbel": (np.euler_gamma, np.pi**2 / 6),
    "logistic": (0, np.pi**2 / 3),
    "laplace": (0, 2),
    "rademacher": (0, 1),
}


@pytest.mark.parametrize("law", LAWS)
def test_laws(xp, law):
    n, (mean, variance) = 20000, LAWS[law]
    like = xp.array([0.0])
    x = xp.numpy(getattr(random, law)(RandomStream(3), (n,), like=like))
    assert np.all(np.isfinite(x))
    assert abs(x.mean() - mean) < 4 * np.sqrt(variance / n)
    assert abs(x.var() / variance - 1) < 0.08


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_draws_like_an_array(xp, law, dtype):
    like = xp.array([0.0], dtype=dtype)
    for rng in (0, RandomStream(0)):
        x = getattr(random, law)(rng, (3, 2), like=like)
        assert x.dtype == like.dtype
        assert tuple(x.shape) == (3, 2)
        assert getattr(x, "device", None) == getattr(like, "device", None)
    first, again = (getattr(random, law)(7, (4,), like=like) for _ in range(2))
    np.testing.assert_array_equal(xp.numpy(first), xp.numpy(again))


def test_bernoulli_and_integers(xp):
    like = xp.array([0.0])
    for rng in (0, RandomStream(1)):
        hits = xp.numpy(random.bernoulli(rng, 0.25, (4000,), like=like))
        assert hits.dtype == bool
        assert abs(hits.mean() - 0.25) < 0.03
        rolls = xp.numpy(random.integers(rng, -2, 3, (500,), like=like))
        assert set(rolls.tolist()) == {-2, -1, 0, 1, 2}
    with pytest.raises(ValueError, match="`low` must be below `high`; got low=3 and high=3"):
        random.integers(0, 3, 3, (2,), like=like)


def test_generators_advance():
    generator = np.random.default_rng(0)
    like = np.zeros(1)
    first, second = (random.normal(generator, (3,), like=like) for _ in range(2))
    assert not np.array_equal(first, second)
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    first, second = (random.normal(generator, (3,), like=torch.zeros(1)) for _ in range(2))
    assert not torch.equal(first, second)


def test_a_key_of_jax_is_a_value():
    jax = pytest.importorskip("jax")
    key, like = jax.random.key(0), jax.numpy.zeros(1)
    first, second = (random.normal(key, (3,), like=like) for _ in range(2))
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))
    draw = random.sampler(key, like)
    assert not np.array_equal(np.asarray(draw.normal((3,))), np.asarray(draw.normal((3,))))
    np.asarray(jax.jit(lambda key: random.gumbel(key, (2,), like=like))(key))


def test_what_is_no_generator(xp):
    with pytest.raises(TypeError, match="`rng` must be"):
        random.normal("seed", (2,), like=xp.array([0.0]))


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (TypeError, "`seed` must be an integer; got bool", lambda: RandomStream(True)),
        (TypeError, "`step` must be an integer; got float", lambda: RandomStream(0, step=1.5)),
        (TypeError, "`slot` must be an integer; got float", lambda: RandomStream(0, slot=1.0)),
        (ValueError, "`count` must be at least 0", lambda: RandomStream(0).split(-1)),
        (TypeError, "`shape` must be a tuple", lambda: RandomStream(0).normal(3, like=np.ones(1))),
        (
            ValueError,
            r"`step` must have the shape of `stream`, \(3,\); got \(2,\)",
            lambda: RandomStream(0, step=np.arange(2), stream=np.arange(3)).normal(
                (3, 2), like=np.ones(1)
            ),
        ),
        (
            ValueError,
            "`probability` must be at most 1",
            lambda: random.bernoulli(0, 2.0, (3,), like=np.ones(1)),
        ),
        (
            TypeError,
            "`low` must be an integer; got float",
            lambda: random.integers(0, 0.5, 3, (3,), like=np.ones(1)),
        ),
    ],
)
def test_refused(error, match, call):
    with pytest.raises(error, match=match):
        call()


def test_integers_beyond_half_precision():
    like = np.ones(1, dtype="float16")
    found = random.integers(RandomStream(0), 0, 100_000, (2000,), like=like)
    assert found.min() >= 0 and 65_504 < found.max() < 100_000
    assert len(np.unique(found)) > 1900


def test_uniform_numbers_of_half_types_stay_below_one():
    """Rounded to nearest, the largest would be 1, and their exponential infinite."""
    torch = pytest.importorskip("torch")
    for like in (torch.zeros(1, dtype=torch.bfloat16), np.zeros(1, dtype="float16")):
        for rng in (RandomStream(0), 0):
            u = random.uniform(rng, (20_000,), like=like)
            assert u.dtype == like.dtype and float(u.max()) < 1
            draws = random.exponential(rng, (20_000,), like=like)
            assert draws.dtype == like.dtype and float(draws.max()) < 20
            assert abs(float(draws.mean()) - 1) < 0.05


def test_numbers_that_are_zero_have_finite_logarithms():
    class Zeros(random.Sampler):
        def _draw(self, kind, shape, *, wide=False):
            return np.zeros(shape, dtype=self.like.dtype)

    for dtype in ("float32", "float64"):
        like = np.zeros(1, dtype=dtype)
        for law in ("gumbel", "logistic", "laplace"):
            assert np.isfinite(getattr(random, law)(Zeros(0, like), (2,), like=like)).all()


def test_the_largest_uniform_number_gives_the_last_integer():
    class Largest(random.Sampler):
        def _draw(self, kind, shape, *, wide=False):
            return np.nextafter(np.ones(shape, self.like.dtype), 0, dtype=self.like.dtype)

    for dtype, most in (("float32", 2**31 - 1), ("float64", 2**53)):
        like = np.zeros(1, dtype=dtype)
        for bound in (3, 10, 2**24 + 1, 2**25 + 3, most):
            assert Largest(RandomStream(0), like).integers(0, bound, (1,))[0] < bound
