"""Derivatives of dispatch and combine against the dense tensors, by every transformation."""

import pytest
from numpy.testing import assert_allclose

from fenchel import namespace
from fenchel.autodiff import grad, hvp, jvp
from fenchel.routers import route

METHODS = {
    "token choice": {"k": 2, "capacity": 3},
    "renormalized": {"k": 2, "capacity": 3, "weights": "renormalized"},
    "expert choice": {"method": "softmax_expert_choice", "capacity": 3},
    "relaxed top-k": {"method": "sparse_topk", "k": 2},
}
every_method = pytest.mark.parametrize("options", METHODS.values(), ids=METHODS)


def through_indices(options):
    def f(logits, x):
        routing = route(logits, **options)
        xp = namespace(logits, x)
        return xp.sum(xp.sin(routing.combine(xp.cos(routing.dispatch(x)))))

    return f


def through_segments(options):
    def f(logits, x):
        rows = route(logits, **options).segments()
        xp = namespace(logits, x)
        return xp.sum(xp.sin(rows.combine(xp.cos(rows.dispatch(x)))))

    return f


def through_dense(options):
    def f(logits, x):
        dispatch, combine = route(logits, **options).dense()
        xp = namespace(logits, x)
        n, m, c = dispatch.shape
        buffers = xp.matmul(xp.matrix_transpose(xp.reshape(dispatch, (n, m * c))), x)
        return xp.sum(xp.sin(xp.matmul(xp.reshape(combine, (n, m * c)), xp.cos(buffers))))

    return f


@pytest.fixture
def point(rng):
    return rng.normal(size=(7, 4)), rng.normal(size=(7, 2))


@every_method
def test_first_and_second_derivatives(xp, point, options):
    if xp.name.startswith("jax"):
        pytest.skip("eagerly it compiles for a minute; the test in jit is below")
    args = tuple(map(xp.array, point))
    along = tuple(xp.array(0.5 * v[::-1].copy()) for v in point)
    dense = through_dense(options)
    for f in (through_indices(options), through_segments(options)):
        pairs = [
            (grad(f, argnums=(0, 1))(*args), grad(dense, argnums=(0, 1))(*args)),
            (
                hvp(lambda p, f=f: f(*p), args, along),
                hvp(lambda p: dense(*p), args, along),
            ),
            ((jvp(f, args, along)[1],), (jvp(dense, args, along)[1],)),
        ]
        for found, expected in pairs:
            for a, b in zip(found, expected, strict=True):
                assert_allclose(xp.numpy(a), xp.numpy(b), rtol=1e-9, atol=1e-11)


def test_torch_passes_its_own_checks_and_transformations(point):
    torch = pytest.importorskip("torch")
    args = tuple(torch.tensor(v, requires_grad=True) for v in point)
    f, dense = (make(METHODS["token choice"]) for make in (through_indices, through_dense))
    assert torch.autograd.gradcheck(f, args)
    assert torch.autograd.gradgradcheck(f, args)
    plain = tuple(v.detach() for v in args)
    for transform in (
        lambda f: torch.func.jacrev(f, argnums=1),
        lambda f: torch.func.hessian(f, argnums=0),
    ):
        assert_allclose(transform(f)(*plain), transform(dense)(*plain), atol=1e-11)
    stack = tuple(torch.stack([v, v.flip(0)]) for v in plain)
    mapped = torch.func.vmap(torch.func.grad(f, argnums=1))(*stack)
    alone = [torch.func.grad(f, argnums=1)(*(v[i] for v in stack)) for i in range(2)]
    assert_allclose(mapped, torch.stack(alone), atol=1e-12)


@pytest.mark.parametrize("name", ["token choice", "expert choice"])
def test_jax_differentiates_in_both_modes(point, name):
    jax = pytest.importorskip("jax")
    args = tuple(map(jax.numpy.asarray, point))
    f, dense = (make(METHODS[name]) for make in (through_indices, through_dense))

    def pieces(f, *args):
        return jax.hessian(f, argnums=1)(*args), jax.jacfwd(jax.grad(f))(*args)

    for a, b in zip(
        jax.jit(lambda *v: pieces(f, *v))(*args),
        jax.jit(lambda *v: pieces(dense, *v))(*args),
        strict=True,
    ):
        assert_allclose(a, b, atol=1e-11)


def test_jax_maps(point):
    jax = pytest.importorskip("jax")
    args = tuple(map(jax.numpy.asarray, point))
    slope = jax.grad(through_indices(METHODS["token choice"]), argnums=(0, 1))
    stack = tuple(jax.numpy.stack([v, v[::-1]]) for v in args)
    mapped = jax.jit(jax.vmap(slope))(*stack)
    alone = [jax.jit(slope)(*(v[i] for v in stack)) for i in range(2)]
    for i in range(2):
        for a, b in zip(mapped, alone[i], strict=True):
            assert_allclose(a[i], b, atol=1e-12)
    # one of the two arguments mapped alone
    routing = route(args[0], k=2, capacity=3)
    over_x = jax.jit(jax.vmap(routing.dispatch))(stack[1])
    assert_allclose(over_x[1], routing.dispatch(stack[1][1]))


def test_no_derivative_of_jax_scatters(point):
    jax = pytest.importorskip("jax")
    args = tuple(map(jax.numpy.asarray, point))
    routing = route(args[0], k=2, capacity=3)

    def f(x, weight):
        import dataclasses

        live = dataclasses.replace(routing, weight=weight)
        return jax.numpy.sum(jax.numpy.sin(live.combine(live.dispatch(x))))

    text = str(
        jax.make_jaxpr(lambda x, w: jax.jvp(jax.grad(f, (0, 1)), (x, w), (x, w)))(
            args[1], routing.weight
        )
    )
    assert "fenchel_linear" in text
    assert "scatter" not in text
