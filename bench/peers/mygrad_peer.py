"""MyGrad: NumPy with gradients, on a tape."""

from typing import Any

import mygrad as mg
import mygrad.nnet as nnet

from tinyxp.bench.contest import Step
from tinyxp.bench.peers import formulas
from tinyxp.bench.workloads import Workload


class Layers:
    @staticmethod
    def conv(x: Any, weight: Any) -> Any:
        return nnet.conv_nd(x, weight, stride=1, padding=1)

    @staticmethod
    def pool(x: Any) -> Any:
        return nnet.max_pool(x, (2, 2), 2)


def start(workload: Workload, threads: int) -> Step:
    weights = workload.weights()
    x, y = workload.data()
    optimizer = formulas.Adam(weights, workload.lr, workload.weight_decay)

    def step() -> float:
        p = {name: mg.tensor(array, copy=False) for name, array in weights.items()}
        loss = formulas.loss(mg, Layers, workload.model, p, x, y)
        loss.backward()
        value = loss.item()
        grads = {name: t.grad for name, t in p.items()}
        loss = p = None  # MyGrad locks the arrays of a living graph
        optimizer.step(weights, grads)
        return float(value)

    return step
