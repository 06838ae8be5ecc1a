"""Small objectives on every library, and a reference tuner written out in NumPy."""

import numpy as np

from fenchel import namespace


def logistic(w, images, signs):
    """Mean logistic loss of a linear classifier, stable for large scores."""
    xp = namespace(w)
    margins = xp.multiply(signs, xp.matmul(images, w))
    zero = xp.zeros_like(margins)
    return xp.mean(xp.maximum(-margins, zero) + xp.log1p(xp.exp(-xp.abs(margins))))


class Network:
    """Squared loss of a network with one hidden layer; has the parts that "ggn" needs."""

    def predict(self, params, inputs):
        xp = namespace(params["out"])
        weight, bias = params["hidden"]
        return xp.matmul(xp.tanh(xp.matmul(inputs, weight) + bias), params["out"])

    def loss(self, outputs, targets):
        xp = namespace(outputs)
        return xp.sum(xp.subtract(outputs, targets) ** 2) / (2 * targets.shape[0])

    def __call__(self, params, inputs, targets):
        return self.loss(self.predict(params, inputs), targets)


def logistic_data(seed=0, m=8, n=3):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, n)), np.where(rng.random(m) < 0.5, -1.0, 1.0)


def network_data(seed=0, m=12):
    rng = np.random.default_rng(seed)
    params = {
        "hidden": (rng.standard_normal((4, 3)) / 2, np.zeros(3)),
        "out": rng.standard_normal((3, 2)) / 1.7,
    }
    return params, (rng.standard_normal((m, 4)), rng.standard_normal((m, 2)))


def logistic_derivatives(w, images, signs):
    """Value, gradient and Hessian of `logistic`, by their formulas."""
    margins = signs * (images @ w)
    off = 1 / (1 + np.exp(margins))
    value = np.mean(np.logaddexp(0.0, -margins))
    gradient = -images.T @ (signs * off) / len(signs)
    return value, gradient, (images.T * (off * (1 - off))) @ images / len(signs)


def reference_directions(name):
    """Directions of the optimisers at learning rate 1, from their definitions."""
    state = {"m": 0.0, "v": 0.0, "t": 0}

    def direction(g):
        state["t"] += 1
        if name == "descent":
            return -g
        if name == "heavy_ball":
            state["m"] = 0.9 * state["m"] - g
            return state["m"]
        if name == "nesterov":
            state["m"] = 0.9 * state["m"] - g
            return 0.9 * state["m"] - g
        if name == "ema":
            state["m"] = 0.9 * state["m"] + 0.1 * g
            return -state["m"]
        if name == "adam":
            state["m"] = 0.9 * state["m"] + 0.1 * g
            state["v"] = 0.999 * state["v"] + 0.001 * g**2
            m, v = state["m"] / (1 - 0.9 ** state["t"]), state["v"] / (1 - 0.999 ** state["t"])
            return -m / (np.sqrt(v) + 1e-8)
        state["v"] = 0.9 * state["v"] + 0.1 * g**2
        return -g / (np.sqrt(state["v"]) + 1e-8)

    return direction


def reference_cdat(w, data, steps, *, name="descent", scaling=2.0, ema=0.0, memory=20):
    """Trajectory of CDAT on the logistic loss; `memory=0` is without a guard."""
    direction, n_mean, d_mean, values = reference_directions(name), 0.0, 0.0, []
    path, rates = [w], []
    for _ in range(steps):
        value, g, h = logistic_derivatives(w, *data)
        values.append(value)
        u = direction(g)
        n_mean = ema * n_mean + (1 - ema) * max(-g @ u, 0.0)
        d_mean = ema * d_mean + (1 - ema) * abs(u @ h @ u)
        rate = scaling * n_mean / d_mean if n_mean else 0.0
        for _ in range(31 if memory else 0):
            if logistic_derivatives(w + rate * u, *data)[0] <= max(values[-memory:]):
                break
            rate /= 2
        w = w + rate * u
        path.append(w)
        rates.append(rate)
    return np.array(path), np.array(rates)


def carried(xp, tree):
    """Return a container of NumPy arrays as one of a library."""
    from fenchel import trees

    return trees.map(xp.array, tree)


def run(tuner, objective, params, data, steps, step=None):
    """Return what a tuner makes of parameters, its state, and the reports of its steps."""
    state, infos = tuner.init(params), []
    step = step or (lambda p, s: tuner.step(objective, p, s, *data))
    for _ in range(steps):
        params, state, info = step(params, state)
        infos.append(info)
    return params, state, infos


def column(infos, name):
    return np.array([float(getattr(info, name)) for info in infos])
