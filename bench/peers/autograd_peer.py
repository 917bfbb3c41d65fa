"""HIPS/autograd: NumPy with gradients."""

from typing import Any

import autograd.numpy as np
from autograd import value_and_grad

from tinyxp.bench.contest import Step
from tinyxp.bench.peers import formulas
from tinyxp.bench.workloads import Workload


class Layers:
    @staticmethod
    def conv(x: Any, weight: Any) -> Any:
        height, width = x.shape[2:]
        x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="constant")
        windows = [x[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        columns = np.concatenate(windows, axis=1)  # (batch, 9 · channels, height, width)
        rows = np.reshape(np.transpose(weight, (0, 2, 3, 1)), (weight.shape[0], -1))
        return np.swapaxes(np.tensordot(rows, columns, axes=(1, 1)), 0, 1)

    @staticmethod
    def pool(x: Any) -> Any:
        n, c, h, w = x.shape
        return np.max(np.reshape(x, (n, c, h // 2, 2, w // 2, 2)), axis=(3, 5))


def start(workload: Workload, threads: int) -> Step:
    weights = workload.weights()
    x, y = workload.data()
    optimizer = formulas.Adam(weights, workload.lr, workload.weight_decay)
    function = value_and_grad(lambda p: formulas.loss(np, Layers, workload.model, p, x, y))

    def step() -> float:
        loss, grads = function(weights)
        optimizer.step(weights, grads)
        return float(loss)

    return step
