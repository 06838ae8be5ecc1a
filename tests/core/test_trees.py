"""Containers of arrays as vectors."""

import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

from fenchel import namespace, trees
from fenchel.autodiff import grad, hvp

Pair = namedtuple("Pair", "a b")


@trees.register_dataclass(static=("name",))
@dataclass(frozen=True)
class Layer:
    weight: object
    bias: object
    name: str = "layer"

    def __post_init__(self):
        assert self.name


def build(xp, shift=0.0):
    return {
        "p": Pair(xp.array([1.0 + shift, 2.0]), [xp.array([[3.0], [4.0 + shift]])]),
        "l": Layer(xp.array(5.0 + shift), xp.array(np.zeros((0, 2))), "first"),
        "n": None,
    }


def flat(xp, tree):
    return np.concatenate([np.ravel(xp.numpy(leaf)) for leaf in trees.leaves(tree)])


def test_leaves_and_structure(xp):
    tree = build(xp)
    leaves, structure = trees.flatten(tree)
    assert [tuple(leaf.shape) for leaf in leaves] == [(), (0, 2), (2,), (2, 1)]
    again = trees.unflatten(structure, leaves)
    assert isinstance(again["p"], Pair) and again["l"].name == "first" and again["n"] is None
    assert trees.size(tree) == 5
    assert trees.backend_of_tree(tree).name == trees.backend_of_tree(leaves[0]).name


def test_algebra(xp):
    x, y = build(xp), build(xp, 1.0)
    a, b = flat(xp, x), flat(xp, y)
    np.testing.assert_allclose(xp.numpy(trees.dot(x, y)), a @ b)
    np.testing.assert_allclose(xp.numpy(trees.norm(x)), np.linalg.norm(a), rtol=1e-15)
    np.testing.assert_allclose(flat(xp, trees.add(x, y)), a + b)
    np.testing.assert_allclose(flat(xp, trees.sub(x, y)), a - b)
    np.testing.assert_allclose(flat(xp, trees.scale(3.0, x)), 3 * a)
    np.testing.assert_allclose(flat(xp, trees.axpy(2.0, x, y)), 2 * a + b)
    np.testing.assert_allclose(flat(xp, trees.map(lambda u, v: u * v, x, y)), a * b)
    np.testing.assert_array_equal(flat(xp, trees.zeros_like(x)), 0 * a)


def test_factors_do_not_widen_leaves(xp):
    x = {"w": xp.array([1.0, 2.0], dtype="float32")}
    factor = xp.array(2.0)
    assert trees.scale(factor, x)["w"].dtype == x["w"].dtype
    assert trees.axpy(factor, x, x)["w"].dtype == x["w"].dtype


def test_norm_neither_overflows_nor_divides_by_zero(xp):
    big = [xp.array([3e200]), xp.array([4e200])]
    np.testing.assert_allclose(xp.numpy(trees.norm(big)), 5e200)
    assert float(xp.numpy(trees.norm([xp.array([3e-200, 4e-200])]))) == pytest.approx(5e-200)
    assert float(xp.numpy(trees.norm([xp.array([np.inf, 1.0])]))) == np.inf
    assert np.isnan(xp.numpy(trees.norm([xp.array([np.nan, 1.0])])))
    assert float(xp.numpy(trees.norm([xp.array(np.zeros((0,)))]))) == 0.0
    zero = xp.array([0.0, 0.0])
    np.testing.assert_array_equal(xp.numpy(grad(trees.norm)(zero)), [0.0, 0.0])


def test_derivatives(xp):
    x = [xp.array([3.0]), xp.array([4.0])]
    slope = grad(trees.norm)(x)
    np.testing.assert_allclose(flat(xp, slope), [0.6, 0.8], rtol=1e-14)
    curve = hvp(lambda x: trees.dot(x, trees.scale(trees.norm(x), x)), x, x)
    np.testing.assert_allclose(flat(xp, curve), 2 * 3 * 5 * np.asarray([3.0, 4.0]), rtol=1e-13)


def test_structures_that_differ(xp):
    x = xp.array([1.0])
    with pytest.raises(ValueError, match="containers must have one structure"):
        trees.add({"a": x}, {"b": x})
    with pytest.raises(ValueError, match=r"leaves must have one shape; got \(1,\) and \(\)"):
        trees.dot(x, x[0])


def test_no_array():
    with pytest.raises(TypeError, match="at least one leaf must be an array; got float, str"):
        trees.backend_of_tree({"a": 1.0, "b": "text"})
    assert trees.dot([1.0, 2.0], [3.0, 4.0]) == 11.0
    assert trees.norm([3.0, 4.0]) == 5.0
    assert trees.dot([], []) == 0.0


def test_two_libraries():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="one library"):
        trees.backend_of_tree([np.ones(2), torch.ones(2)])


def test_dataclasses_pass_through_jit_without_their_checks():
    jax = pytest.importorskip("jax")
    layer = Layer(jax.numpy.ones(2), jax.numpy.zeros(1))
    out = jax.jit(lambda layer: trees.scale(2.0, layer))(layer)
    assert isinstance(out, Layer) and out.name == "layer"
    shapes = jax.eval_shape(lambda layer: layer, layer)
    assert shapes.weight.shape == (2,)
    slope = grad(lambda layer: namespace(layer.weight).sum(layer.weight**2))(layer)
    np.testing.assert_allclose(np.asarray(slope.weight), [2.0, 2.0])


def test_followers_hear_of_past_and_future_classes():
    seen = []
    trees.follow_dataclasses(lambda cls, flatten, unflatten: seen.append((cls, flatten, unflatten)))
    assert any(cls is Layer for cls, _, _ in seen)

    @trees.register_dataclass()
    @dataclass
    class Later:
        x: float

    cls, flatten, unflatten = seen[-1]
    children, constants = flatten(Later(2.0))
    assert cls is Later and unflatten(constants, children) == Later(2.0)


def test_a_container_is_known_to_jax_before_any_of_its_arrays():
    pytest.importorskip("jax")
    code = (
        "import jax, sys; from fenchel.convex import Cube, Simplex; made = Simplex(2.0);"
        "print(jax.jit(lambda box: box.radius)(made), jax.tree_util.tree_leaves(Cube()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    assert done.stdout.split("\n")[0] == "2.0 []"


def test_a_container_imports_no_library():
    code = "import sys; from fenchel.convex import Cube; Cube(); print('jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    assert done.stdout == "False\n"
