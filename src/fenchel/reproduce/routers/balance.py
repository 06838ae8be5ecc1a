"""Balance without training: the bias of static logits, and the tokens that a plan leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.routers import BiasBalance, route

from ..figures import COLORS, new_figure
from ..paper import Claim, Run

__all__ = ["bias_claims", "bias_trace", "claims", "draw_bias", "draw_loads", "plan_claims"]

TOKENS, EXPERTS, K = 2048, 16, 2


def static_logits(run: Run) -> Any:
    """Return normal logits with a preference that falls from the first expert to the last."""
    import numpy as np

    preference = np.linspace(1.5, -1.5, EXPERTS)
    values = np.random.default_rng(0).standard_normal((TOKENS, EXPERTS)) + preference
    return run.library.array(values)


def bias_trace(run: Run, steps: int) -> tuple[Any, Any, Any]:
    """Return largest over mean load at every step, the demand at the ends, and the last bias."""
    import numpy as np

    logits, control = static_logits(run), BiasBalance(rate=1e-3)
    bias = run.library.array(np.zeros(EXPERTS))

    def step(bias: Any) -> tuple[Any, Any]:
        routing = route(logits, method="bias_balanced", k=K, bias=bias)
        return routing.demand, control.step(bias, routing.demand)

    quick_step, ratios, demands = run.library.compiled(step), [], []
    for _ in run.progress(range(steps + 1), "bias"):
        demand, bias = quick_step(bias)
        demands.append(run.library.numpy(demand))
        ratios.append(demands[-1].max() / demands[-1].mean())
    return np.asarray(ratios), np.stack((demands[0], demands[-1])), run.library.numpy(bias)


def claims(run: Run) -> Iterator[Claim]:
    """Draw the loads, and yield the claims on the bias and on the sparse plan."""
    run.save(draw_loads(run), "loads")
    yield from bias_claims(run)
    yield from plan_claims(run)


def bias_claims(run: Run) -> Iterator[Claim]:
    """Yield the claims on the bias: balance is reached, and kept."""
    steps = 450 if run.quick else 600
    ratios, _, bias = bias_trace(run, steps)
    run.save(draw_bias(ratios), "bias")
    yield Claim("bias: largest over mean load at the start", float(ratios[0]), ">=", 3.0)
    yield Claim("bias: largest over mean load after 200 steps", float(ratios[200]), ">=", 1.2)
    worst = float(ratios[400:].max())
    yield Claim("bias: largest over mean load from step 400 on", worst, "<=", 1.05)
    spread = float(bias.max() - bias.min())
    yield Claim("bias: spread of the bias against 0.51", abs(spread - 0.51), "<=", 0.03)


def plan_claims(run: Run) -> Iterator[Claim]:
    """Yield how many tokens are left without an expert, by softmax and by the sparse plan."""
    import numpy as np

    draws = 2 if run.quick else 5
    for n, m, capacity in ((196, 32, 7), (64, 8, 8)):
        values = np.random.default_rng(0).standard_normal((draws, n, m))
        logits = run.library.array(values)
        alone = _unrouted(run, logits, capacity, method="softmax_expert_choice")
        for solver, steps in (("adam", 20), ("lbfgs", 100)):
            left = _unrouted(
                run,
                logits,
                capacity,
                method="sparse_expert_choice",
                solver=solver,
                max_iter=steps,
            )
            said = f"{n} tokens, {m} experts: tokens left out by the sparse plan ({solver})"
            yield Claim(f"{said} over softmax", left / alone, "<=", 0.5)


def _unrouted(run: Run, logits: Any, capacity: int, **options: Any) -> float:
    routing = route(logits, capacity=capacity, **options)
    return float(run.library.numpy(routing.stats().unrouted).mean())


def draw_bias(ratios: Any) -> Any:
    """Return the figure of the largest load over the steps."""
    figure, axis = new_figure()
    axis.plot(ratios, color=COLORS["soft"])
    axis.axhline(1.05, linestyle="--", color=COLORS["hard"], label="1.05")
    axis.set(xlabel="step", ylabel="largest over mean load", title="bias of static logits")
    axis.legend(frameon=False)
    return figure


def draw_loads(run: Run) -> Any:
    """Return the figure of the loads: what experts are asked for, by four routers."""
    import numpy as np

    logits = static_logits(run)
    _, (before, after), _ = bias_trace(run, 400)
    rows = TOKENS * K // EXPERTS
    plan = route(logits, method="sinkhorn_token_choice", k=K)
    choice = route(logits, method="softmax_expert_choice", k=K, capacity=rows)
    loads = {
        "token choice": before,
        "Sinkhorn": run.library.numpy(plan.demand),
        "bias, 400 steps": after,
        "expert choice": run.library.numpy(choice.stats().load),
    }
    figure, axes = new_figure(len(loads), height=2.6)
    for axis, (name, load) in zip(axes, loads.items(), strict=True):
        order = np.arange(1, EXPERTS + 1)
        axis.bar(order, load, color=COLORS["soft"])
        axis.axhline(rows, linestyle="--", color=COLORS["hard"])
        axis.set(title=name, xlabel="expert", ylim=(0, 1.05 * before.max()))
    axes[0].set(ylabel="tokens")
    return figure
