"""JAX: the whole step compiled."""

from typing import Any

import jax
import jax.numpy as np
from jax import lax

from tinyxp.bench.contest import Step
from tinyxp.bench.peers import formulas
from tinyxp.bench.workloads import Workload


class Layers:
    @staticmethod
    def conv(x: Any, weight: Any) -> Any:
        return lax.conv_general_dilated(x, weight, (1, 1), "SAME")

    @staticmethod
    def pool(x: Any) -> Any:
        window = (1, 1, 2, 2)
        return lax.reduce_window(x, -np.inf, lax.max, window, window, "VALID")


def start(workload: Workload, threads: int) -> Step:
    weights = {name: np.asarray(array) for name, array in workload.weights().items()}
    zeros = {name: np.zeros_like(array) for name, array in weights.items()}
    x, y = map(np.asarray, workload.data())
    lr, decay = workload.lr, workload.weight_decay

    def update(p: Any, m: Any, v: Any, t: Any) -> Any:
        loss, g = jax.value_and_grad(lambda p: formulas.loss(np, Layers, workload.model, p, x, y))(
            p
        )
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        size, correction = lr / (1 - 0.9**t), np.sqrt(1 - 0.999**t)

        def new(p: Any, m: Any, v: Any) -> Any:
            return p * (1 - lr * decay) - size * m / (np.sqrt(v) / correction + 1e-8)

        return loss, jax.tree.map(new, p, m, v), m, v

    compiled = jax.jit(update, donate_argnums=(0, 1, 2))
    state: list[Any] = [weights, zeros, {k: np.zeros_like(z) for k, z in zeros.items()}, 0]

    def step() -> float:
        state[3] += 1
        loss, *state[:3] = compiled(*state[:3], float(state[3]))
        return float(loss)

    return step
