"""Weights, ignored classes, masks, smoothing, reductions, edges and errors, on every library."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fenchel
from fenchel import losses

CLASSED = {
    "logistic": losses.logistic,
    "sparsemax": losses.sparsemax_loss,
    "entmax": losses.entmax_loss(alpha=1.4),
    "fitzpatrick_logistic": losses.fitzpatrick_logistic,
    "fitzpatrick_sparsemax": losses.fitzpatrick_sparsemax,
    "fitzpatrick_entmax": losses.fitzpatrick_entmax(alpha=1.5),
    "perceptron": losses.perceptron,
    "hinge": losses.hinge,
}
every_loss = pytest.mark.parametrize("name", CLASSED)
SCORES = np.asarray([[1.5, -0.5, 0.25, 2.0], [0.1, 0.2, 0.3, -0.4], [-1.0, 1.0, 0.0, 3.0]])
CLASSES = np.asarray([0, 3, 1])
WEIGHT = np.asarray([0.5, 2.0, 1.0, 3.0])


@pytest.fixture(autouse=True)
def _few_on_jax(request):
    """JAX compiles every operation for every shape: two losses stand for the others."""
    if "xp" not in request.fixturenames:
        return
    xp = request.getfixturevalue("xp")
    if xp.jitted:
        pytest.skip("nothing here is jitted")
    name = request.node.callspec.params.get("name", "logistic")
    if xp.name == "jax" and name not in ("logistic", "fitzpatrick_sparsemax"):
        pytest.skip("two losses stand for the others on JAX")


def value_and_gradient(xp, loss, x, target, **options):
    """Value and gradient by the library's derivative; the fused route must agree."""
    options = {k: xp.array(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    x, target = xp.array(x), xp.array(target)
    value, gradient = fenchel.value_and_grad(lambda x: loss(x, target, **options))(x)
    fused = loss.value_and_grad(x, target, **options)
    assert_allclose(xp.numpy(fused[0]), xp.numpy(value), rtol=1e-12, atol=1e-15)
    assert_allclose(xp.numpy(fused[1]), xp.numpy(gradient), rtol=1e-11, atol=1e-14)
    return xp.numpy(value), xp.numpy(gradient)


@every_loss
def test_classes_and_one_hot_rows_agree(xp, name):
    loss = CLASSED[name]
    for options in ({}, {"weight": WEIGHT}, {"label_smoothing": 0.3}, {"ignore_index": 3}):
        total = {"reduction": "sum"} | options
        by_class = value_and_gradient(xp, loss, SCORES, CLASSES, **total)
        by_row = value_and_gradient(xp, loss, SCORES, np.eye(4)[CLASSES], **total)
        assert_allclose(by_row[0], by_class[0], rtol=1e-12)
        assert_allclose(by_row[1], by_class[1], atol=1e-12)


@every_loss
def test_reductions_and_weights(xp, name):
    loss = CLASSED[name]
    x, target, weight = xp.array(SCORES), xp.array(CLASSES), xp.array(WEIGHT)
    rows = xp.numpy(loss(x, target, reduction="none"))
    weighted = xp.numpy(loss(x, target, weight=weight, reduction="none"))
    assert_allclose(weighted, rows * WEIGHT[CLASSES], rtol=1e-12)
    assert_allclose(float(loss(x, target)), rows.mean(), rtol=1e-12)
    assert_allclose(float(loss(x, target, reduction="sum")), rows.sum(), rtol=1e-12)
    mean = float(loss(x, target, weight=weight))
    assert_allclose(mean, weighted.sum() / WEIGHT[CLASSES].sum(), rtol=1e-12)
    dense = xp.array(np.eye(4)[CLASSES])
    assert_allclose(float(loss(x, dense, weight=weight)), weighted.sum() / 3, rtol=1e-12)


@every_loss
def test_ignored_rows_leave_no_trace(xp, name):
    x = SCORES.copy()
    x[1] = [np.nan, np.inf, -np.inf, 0.0]
    target = np.asarray([0, -100, 1])
    value, gradient = value_and_gradient(xp, CLASSED[name], x, target, ignore_index=-100)
    kept = value_and_gradient(xp, CLASSED[name], SCORES[[0, 2]], np.asarray([0, 1]))
    assert_allclose(value, kept[0], rtol=1e-12)
    assert_array_equal(gradient[1], 0)
    assert_allclose(gradient[[0, 2]], kept[1], atol=1e-14)
    nothing = value_and_gradient(xp, CLASSED[name], SCORES, np.asarray([7, 7, 7]), ignore_index=7)
    assert nothing[0] == 0
    assert_array_equal(nothing[1], 0)


@every_loss
def test_masked_entries_are_left_out(xp, name):
    where = np.asarray([True, True, False, True])
    for options in ({}, {"label_smoothing": 0.2}):
        masked = value_and_gradient(xp, CLASSED[name], SCORES, CLASSES, where=where, **options)
        less = value_and_gradient(
            xp, CLASSED[name], SCORES[:, where], np.asarray([0, 2, 1]), **options
        )
        assert_allclose(masked[0], less[0], rtol=1e-12)
        assert_allclose(masked[1][:, where], less[1], atol=1e-13)
        assert_array_equal(masked[1][:, 2], 0)
        minus = np.where(where, SCORES, -np.inf)
        assert_allclose(
            value_and_gradient(xp, CLASSED[name], minus, CLASSES, **options)[0], less[0]
        )


@every_loss
def test_edges_of_a_row(xp, name):
    """A row that is all out, a target that is out, a NaN, one class, an infinite score."""
    x = np.asarray([[-np.inf] * 3, [-np.inf, 0.5, 1.0], [np.nan, 0.5, 1.0], [np.inf, 0.5, 1.0]])
    loss, target = CLASSED[name], np.asarray([0, 0, 0, 0])
    rows = xp.numpy(loss(xp.array(x), xp.array(target), reduction="none"))
    assert rows[0] == 0
    assert rows[1] == np.inf
    assert np.isnan(rows[2])
    assert rows[3] == 0
    first = value_and_gradient(xp, loss, x[:1], target[:1])
    assert first[0] == 0
    assert_array_equal(first[1], 0)
    _, gradient = value_and_gradient(xp, loss, x[1:2], target[:1], reduction="sum")
    assert np.isfinite(gradient).all()
    assert gradient[0, 0] == 0
    alone = value_and_gradient(xp, loss, np.asarray([[3.0]]), np.asarray([0]))
    assert alone[0] == 0
    assert_array_equal(alone[1], 0)


def test_huge_scores_do_not_overflow(xp):
    x = np.asarray([[1e4, -1e4, 0.0], [1e8, 1e8 - 1.0, 0.0]])
    for loss in CLASSED.values():
        for target in (np.asarray([1, 1]), np.asarray([[0.2, 0.8, 0.0], [0.5, 0.5, 0.0]])):
            value, gradient = value_and_gradient(xp, loss, x, target)
            assert np.isfinite(value)
            assert (np.abs(gradient) <= 1).all()


def test_empty_batches(xp):
    x, target = xp.array(np.zeros((0, 4))), xp.array(np.zeros((0,), dtype=np.int64))
    for loss in CLASSED.values():
        assert float(loss(x, target)) == 0
        assert tuple(loss(x, target, reduction="none").shape) == (0,)
        assert tuple(loss.value_and_grad(x, target)[1].shape) == (0, 4)


def test_axis(xp):
    for loss in CLASSED.values():
        for target in (CLASSES, np.eye(4)[CLASSES]):
            other = target if target.ndim == 1 else target.T
            last = value_and_gradient(xp, loss, SCORES, target)
            first = value_and_gradient(xp, loss, SCORES.T, other, axis=0)
            assert_allclose(first[0], last[0], rtol=1e-12)
            assert_allclose(first[1], last[1].T, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_dtypes(xp, dtype):
    if not hasattr(xp.namespace, dtype):
        pytest.skip(f"{xp.name} has no {dtype}")
    x, target = xp.array(SCORES.astype(dtype)), xp.array(CLASSES)
    for loss in CLASSED.values():
        value, gradient = loss.value_and_grad(x, target)
        assert value.dtype == x.dtype
        assert gradient.dtype == x.dtype
        wanted = loss(SCORES.astype(dtype).astype(float), CLASSES)
        assert_allclose(xp.numpy(value).astype(float), wanted, rtol=2e-3 if "16" in dtype else 2e-6)


def test_elementwise_losses(xp):
    t, labels = np.asarray([[0.5, -2.0], [3.0, -0.25]]), np.asarray([[1, 0], [-100, 0]])
    binary = (losses.binary_logistic, losses.binary_sparse, losses.fitzpatrick_binary_logistic)
    for loss in binary:
        rows = xp.numpy(loss(xp.array(t), xp.array(labels), ignore_index=-100, reduction="none"))
        one = [float(loss(xp.array(a), xp.array(np.asarray(b)))) for a, b in
               zip(t.ravel(), [1, 0, 1, 0], strict=True)]  # fmt: skip
        assert_allclose(rows.ravel(), [one[0], one[1], 0.0, one[3]], rtol=1e-12)
        mean = float(loss(xp.array(t), xp.array(labels), ignore_index=-100))
        assert_allclose(mean, rows.sum() / 3, rtol=1e-12)
        weight = xp.array(np.asarray([2.0, 5.0]))
        weighted = float(loss(xp.array(t), xp.array(labels), ignore_index=-100, weight=weight))
        assert_allclose(weighted, (5 * one[0] + 2 * one[1] + 2 * one[3]) / 9, rtol=1e-12)
        where = xp.array(np.asarray([[True, False], [False, False]]))
        kept = float(loss(xp.array(t), xp.array(np.abs(labels) % 2), where=where, reduction="sum"))
        assert_allclose(kept, one[0], rtol=1e-12)


def test_infinite_binary_scores(xp):
    t = xp.array(np.asarray([np.inf, -np.inf, np.inf, -np.inf]))
    y = xp.array(np.asarray([1.0, 0.0, 0.0, 1.0]))
    for loss in (losses.binary_logistic, losses.binary_sparse, losses.fitzpatrick_binary_logistic):
        assert_array_equal(xp.numpy(loss(t, y, reduction="none")), [0, 0, np.inf, np.inf])


@pytest.mark.parametrize(
    ("loss", "share"), [(losses.squared, 1.0), (losses.fitzpatrick_squared, 0.5)]
)
def test_infinite_scores_without_bounds(xp, loss, share):
    """Of a set without bounds -inf is masked as well, and +inf is infinitely wrong."""
    x = xp.array([[-np.inf, 1.0, 2.0], [-np.inf, 1.0, 2.0], [np.inf, 1.0, 2.0]])
    target = xp.array([1, 0, 1])
    assert_array_equal(xp.numpy(loss(x, target, reduction="none")), [2.0 * share, np.inf, np.inf])
    gradient = fenchel.grad(lambda x: loss(x, target[:1]))(x[:1, :])
    assert_array_equal(xp.numpy(gradient), [[0.0, 0.0, 2.0 * share]])


def test_infinite_target_terms(xp):
    """Reverse KL of a one-hot target is infinite; without its constant it is a loss."""
    loss = losses.f_divergence_loss(divergence="reverse_kl")
    x, target = xp.array(SCORES), xp.array(CLASSES)
    assert (xp.numpy(loss(x, target, reduction="none")) == np.inf).all()
    gradient = fenchel.grad(lambda x: loss(x, target, target_term=False, reduction="sum"))(x)
    wanted = xp.numpy(loss.link(x)) - np.eye(4)[CLASSES]
    assert_allclose(xp.numpy(gradient), wanted, atol=1e-10)


def test_target_term_is_a_constant(xp, rng):
    y = xp.array(rng.dirichlet(np.ones(4), size=3))
    for name in ("logistic", "sparsemax", "fitzpatrick_logistic", "fitzpatrick_entmax"):
        loss = CLASSED[name]
        gaps = [
            xp.numpy(loss(x, y, reduction="none"))
            - xp.numpy(loss(x, y, reduction="none", target_term=False))
            for x in (xp.array(SCORES), xp.array(2 * SCORES - 1))
        ]
        omega = xp.numpy(loss.regularizer.value(y))
        assert_allclose(gaps, [omega, omega], atol=1e-12)


def test_errors(xp):
    x, target = xp.array(SCORES), xp.array(CLASSES)
    loss = losses.logistic
    with pytest.raises(ValueError, match=r"`target` must be in \[0, 4\).*got values in \[0, 4\]"):
        loss(x, xp.array(np.asarray([0, 4, 1])))
    with pytest.raises(ValueError, match=r"`target` must be in .* or be ignore_index=-100"):
        loss(x, xp.array(np.asarray([0, -1, 1])), ignore_index=-100)
    with pytest.raises(ValueError, match="`target` must have the shape"):
        loss(x, xp.array(np.asarray([0, 1])))
    with pytest.raises(ValueError, match="`target` must have the shape"):
        loss(x, xp.array(np.zeros((3, 3))))
    with pytest.raises(ValueError, match="`weight` must have the shape"):
        loss(x, target, weight=xp.array(np.ones(3)))
    with pytest.raises(ValueError, match="`reduction`"):
        loss(x, target, reduction="median")
    with pytest.raises(ValueError, match="`label_smoothing`"):
        loss(x, target, label_smoothing=1.5)
    with pytest.raises(ValueError, match="`axis`"):
        loss(x, target, axis=2)
    with pytest.raises(TypeError, match="`ignore_index`"):
        loss(x, target, ignore_index=0.5)
    with pytest.raises(TypeError, match="`scores`"):
        loss(target, target)
    with pytest.raises(ValueError, match="`label_smoothing` must be 0"):
        losses.huber()(x, x, label_smoothing=0.1)
    with pytest.raises(TypeError):
        loss([1.0, 2.0], 0)


def test_unsupported_regularizers():
    from fenchel.regularizers import NormEntropy, Tsallis

    with pytest.raises(TypeError, match=r"`regularizer`.*got NormEntropy"):
        losses.Fitzpatrick(NormEntropy(2.0))
    with pytest.raises(ValueError, match="alpha in"):
        losses.Fitzpatrick(Tsallis(3.0))
    with pytest.raises(TypeError, match="`regularizer`"):
        losses.FenchelYoung("shannon")
    with pytest.raises(TypeError, match="`regularizer`"):
        losses.FenchelYoung(Tsallis)


def test_every_loss_is_a_container_of_its_arrays():
    """So that transformations take it as an argument."""
    alpha = np.asarray([1.5])
    assert fenchel.trees.leaves(losses.entmax_loss(alpha=alpha)) == [alpha]
    built = losses.fenchel_young_from_argmax(fenchel.softmax, sum)
    for loss in (*CLASSED.values(), losses.huber(), losses.absolute, losses.squared_hinge, built):
        assert not any(leaf is loss for leaf in fenchel.trees.leaves(loss))


def test_out_of_range_under_jit_is_nan():
    jax = pytest.importorskip("jax")
    x, target = jax.numpy.asarray(SCORES), jax.numpy.asarray([0, 9, 1])
    rows = jax.jit(lambda x, t: losses.logistic(x, t, reduction="none"))(x, target)
    assert_array_equal(np.isnan(np.asarray(rows)), [False, True, False])


def test_weights_below_one_still_divide(xp):
    """The mean divides by the sum of the weights, however small."""
    scores, target = xp.array([[0.3, -0.2], [1.0, 0.5]]), xp.array([1, 0])
    weight = xp.array([0.125, 0.25])
    rows = xp.numpy(losses.logistic(scores, target, reduction="none"))
    expected = (0.25 * rows[0] + 0.125 * rows[1]) / 0.375
    for loss in (losses.logistic, losses.cross_entropy):
        assert xp.numpy(loss(scores, target, weight=weight)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dense", [False, True])
@every_loss
def test_a_row_with_nan_has_no_gradient(xp, name, dense):
    if name in ("perceptron", "hinge"):
        pytest.skip("constant almost everywhere")
    x = SCORES.copy()
    x[1, 2] = np.nan
    target = np.eye(4)[CLASSES] if dense else CLASSES
    value, gradient = value_and_gradient(xp, CLASSED[name], x, target, reduction="sum")
    assert np.isnan(value) and np.isnan(gradient[1]).all()
    assert np.isfinite(gradient[[0, 2]]).all()


@pytest.mark.parametrize("name", ["reverse_kl", "chi2", "jensen_shannon", "squared_hellinger"])
def test_without_the_target_term_masked_entries_count_nothing(name):
    """Where the generator is infinite at 0 they would make the loss infinite."""
    loss = losses.f_divergence_loss(divergence=name, reference=WEIGHT)
    where = np.asarray([True, True, False, True])
    found = loss(SCORES, CLASSES, where=where, target_term=False, reduction="none")
    kept = losses.f_divergence_loss(divergence=name, reference=WEIGHT[where])
    wanted = kept(SCORES[:, where], np.asarray([0, 2, 1]), target_term=False, reduction="none")
    assert_allclose(found, wanted, rtol=1e-12)


def test_impossible_proportions_leave_the_gradient_of_the_others(xp):
    """Mass on a class that is out costs inf; the gradient is that of the classes that are not."""
    scores = xp.array([1.0, 2.0, -np.inf, 0.3])
    target = xp.array([0.2, 0.3, 0.5, 0.0])
    value, slope = losses.fitzpatrick_logistic.value_and_grad(scores, target)
    assert xp.numpy(value) == np.inf
    assert xp.numpy(slope) == pytest.approx([0.090803, 0.336602, 0.0, 0.072595], abs=1e-5)


@pytest.mark.parametrize("name", ["target", "weight", "where"])
def test_lists_are_refused_by_name(name):
    target, options = np.asarray([0, 1]), {name: [1.0, 1.0]}
    target = options.pop("target", target)
    with pytest.raises(TypeError, match=f"`{name}` must be an array of numpy; got list"):
        losses.logistic(np.zeros((2, 2)), target, **options)
