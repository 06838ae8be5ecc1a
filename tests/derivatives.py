"""Derivatives by each library's own means (the tape where it has none), as NumPy arrays."""

import numpy as np

from fenchel import backend_of


def vjp_matrix(xp, f, *arrays, argument=0):
    """Jacobian of `f` in one argument, row by row with the reverse mode."""
    arrays = [xp.array(a) for a in arrays]
    backend = backend_of(arrays[argument])

    def of_one(x):
        return f(*arrays[:argument], x, *arrays[argument + 1 :])

    out, pullback = backend.vjp(of_one, arrays[argument])
    shape = tuple(out.shape)
    size = int(np.prod(shape))
    rows = [xp.numpy(pullback(xp.array(e.reshape(shape)))[0]).ravel() for e in np.eye(size)]
    return np.stack(rows)


def jvp_matrix(xp, f, *arrays, argument=0):
    """Jacobian of `f` in one argument, column by column with the forward mode."""
    arrays = [xp.array(a) for a in arrays]
    x = arrays[argument]
    backend = backend_of(x)

    def of_one(x):
        return f(*arrays[:argument], x, *arrays[argument + 1 :])

    shape = tuple(x.shape)
    if backend.native_autodiff:

        def pushforward(tangent):
            return backend.jvp(of_one, (x,), (tangent,))[1]

    else:  # one run of `of_one` serves every column
        _, pushforward = backend.linearize(of_one, x)
    columns = [
        xp.numpy(pushforward(xp.array(e.reshape(shape)))).ravel()
        for e in np.eye(int(np.prod(shape)))
    ]
    return np.stack(columns, axis=-1)


def hessian_product(xp, f, x, direction):
    """Product of the Hessian of a scalar function with a vector, forward over reverse."""
    backend = backend_of(xp.array(x))

    def gradient(x):
        return backend.value_and_grad(f)(x)[1]

    return xp.numpy(backend.jvp(gradient, (xp.array(x),), (xp.array(direction),))[1])
