"""The gradient doctor: whether the gradient of every parameter is healthy, and if not, why."""

import math
from collections.abc import Iterator
from typing import Any

from tinyxp.core.tape import Node, edge_of, graph_order
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.debug.doctor import causes, cuts, losses
from tinyxp.debug.doctor.flow import Flow, norm
from tinyxp.debug.doctor.report import Finding, Report, Row, group, names
from tinyxp.debug.sites import Site
from tinyxp.debug.watch import Watch, latest
from tinyxp.errors import DTypeError, GradientError
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter

VANISHING = 1e-6  # a gradient's root mean square over the largest one
EXPLODING = 1e4  # a gradient's norm over the weight's, or over 1 for smaller weights
TOO_FAR = 3.0  # an update's norm over the weight's; 0.001 is usual
TOO_NEAR = 1e-8  # below this float32 rounding loses the update


class Doctor:
    """``tx.doctor(loss, model, optimizer=None)`` explains why a model does not learn.

    Call it after a forward pass with its loss (a tensor of one element), before or after
    ``loss.backward()`` and before ``zero_grad()``. It returns a :class:`Report`: for every
    parameter the norms of weight and gradient, with an ``optimizer`` also the next update relative
    to the weight (nothing is changed), and findings: gradients that are missing, incomplete, zero,
    vanishing (root mean square below 10⁻⁶ of the largest), exploding (norm above 10⁴ times that of
    the weight), NaN or Inf; steps that are larger than the weight or too small; probabilities where
    a loss expects logits.

    If the forward pass ran under ``with tx.doctor.watch():``, it names the line that cut a missing
    gradient. A watch costs nothing when it is off.

    Raises GradientError if the graph was used up and no gradient is left, DTypeError unless it gets
    a Tensor and a Module.

    >>> class Net(tx.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden, self.out = tx.nn.Linear(2, 3), tx.nn.Linear(3, 1)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).detach())
    >>> model = Net()
    >>> with tx.doctor.watch():
    ...     loss = model(tx.ones((4, 2))).mean()
    >>> report = tx.doctor(loss, model)
    >>> report.findings[0].kind, report.findings[0].parameters
    ('missing', ['hidden.weight', 'hidden.bias'])
    >>> print(report.findings[0].message)  # doctest: +ELLIPSIS
    the gradient is cut at ... by detach(); no gradient passes that line.
    """

    def watch(self) -> Watch:
        """A ``with`` block around one forward pass that records where each value comes from."""
        return Watch()

    def __call__(self, loss: Tensor, model: Module, optimizer: Any = None) -> Report:
        if not isinstance(loss, Tensor) or not isinstance(model, Module):
            got = f"{type(loss).__name__} and {type(model).__name__}"
            raise DTypeError(f"the doctor expects a loss (Tensor) and a model (Module), got {got}")
        return Examination(loss, model, optimizer).report()

    def __repr__(self) -> str:
        return "tx.doctor(loss, model, optimizer=None)"


class Examination:
    """The measurements of one loss, its model and its optimizer."""

    def __init__(self, loss: Tensor, model: Module, optimizer: Any) -> None:
        self.loss, self.model, self.optimizer = loss, model, optimizer
        self.params = dict(model.named_parameters())
        self.trained = {name: p for name, p in self.params.items() if p.requires_grad}
        watch = latest()
        self.watch = watch if watch is not None and watch.knows(loss) else None
        edge = edge_of(loss)
        used_up = isinstance(edge, Node) and edge.context is None
        self.flow = None if edge is None or used_up else Flow(loss)
        if used_up and all(p.grad is None for p in self.params.values()):
            raise GradientError(
                "this graph was used up by backward() and no gradient is left; call the doctor "
                "before zero_grad(), or compute the loss again"
            )
        found: Any = {p: p.grad.array for p in self.params.values() if p.grad is not None}
        found = found if self.flow is None else self.flow.gradients
        pairs = ((name, found.get(p)) for name, p in self.trained.items())
        self.gradients = {name: g for name, g in pairs if g is not None}
        self.norms = {name: norm(g) for name, g in self.gradients.items()}
        self.weights = {name: norm(p.array) for name, p in self.params.items()}
        self.updates = self._updates() if optimizer is not None else {}
        self.states = {name: self._state(name) for name in self.params}
        modules = {id(m): name or type(m).__name__ for name, m in model.named_modules()}
        by_id = {id(p): name for name, p in self.params.items()}
        self.scene = causes.Scene(self.watch, by_id, modules)

    def _updates(self) -> dict[str, float]:
        """The norm of the next update of each parameter; everything is restored."""
        held = [p for group in self.optimizer.param_groups for p in group["params"]]
        before = [(p, p.array, p.grad) for p in {*held, *self.params.values()}]
        state = self.optimizer.state_dict()
        try:
            for p, _, _ in before:
                p.grad = None
            for name, g in self.gradients.items():
                p = self.params[name]
                p.grad = wrap(g, p.backend)
            old = {name: p.array for name, p in self.trained.items()}
            self.optimizer.step()
            return {name: norm(p.array - old[name]) for name, p in self.trained.items()}
        finally:
            for p, data, grad in before:
                p.array, p.grad = data, grad
            self.optimizer.load_state_dict(state)

    # -- the state of each parameter -------------------------------------------------------------

    def _rms(self, name: str) -> float:
        return self.norms[name] / math.sqrt(max(1, self.params[name].size))

    def _state(self, name: str) -> str:
        if name not in self.trained:
            return "frozen"
        if name not in self.gradients:
            return "missing"
        if not math.isfinite(self.norms[name]):
            return "nan"
        if self.norms[name] > EXPLODING * max(1.0, self.weights[name]):
            return "exploding"
        rms = self._rms(name)
        if rms <= VANISHING * self._largest(self.norms):
            home = name.rpartition(".")[0]
            beside = [n for n in self.norms if n.rpartition(".")[0] == home and n != name]
            others = self._largest(beside)
            alive = others > VANISHING * self._largest(self.norms)
            if self.params[name].ndim < 2 and alive and rms <= VANISHING * others:
                return "no effect"  # such as a bias before a normalization or a softmax
            return "zero" if self.norms[name] == 0 else "vanishing"
        return "fine"

    def _largest(self, some: Any) -> float:
        return max((self._rms(n) for n in some if math.isfinite(self.norms[n])), default=0.0)

    def _in(self, state: str) -> list[str]:
        return [name for name, known in self.states.items() if known == state]

    # -- the report ------------------------------------------------------------------------------

    def report(self) -> Report:
        rows = [
            Row(name, p.shape, self.weights[name], self.norms.get(name), self._ratio(name), state)
            for (name, p), state in zip(self.params.items(), self.states.values(), strict=True)
        ]
        findings = [
            *self.find_frozen(),
            *self.find_unregistered(),
            *self.find_missing(),
            *self.find_nonfinite(),
            *self.find_scale(),
            *self.find_steps(),
            *losses.probabilities(self.scene, self.loss),
        ]
        return Report(rows, findings)

    def _ratio(self, name: str) -> float | None:
        moved, weight = self.updates.get(name), self.weights[name]
        return None if moved is None or weight == 0 else moved / weight

    def find_frozen(self) -> Iterator[Finding]:
        if self.params and not self.trained:
            yield Finding(
                "frozen",
                list(self.params),
                None,
                "all parameters have requires_grad=False: there is nothing to train.",
                "call model.requires_grad_(), or p.requires_grad_() on those to be trained.",
            )
        if not self.params:
            message = "the model has no parameters."
            remedy = "assign nn.Parameter or layers to attributes, lists of them as nn.ModuleList."
            yield Finding("unregistered", [], None, message, remedy)

    def find_unregistered(self) -> Iterator[Finding]:
        ours = {id(p) for p in self.params.values()}
        homes = dict(_hidden_tensors(self.model))
        leaves = [x for x in graph_order([edge_of(self.loss)]) if isinstance(x, Tensor)]
        strange = [leaf for leaf in leaves if id(leaf) not in ours]
        held = {homes[id(leaf)]: leaf for leaf in strange if id(leaf) in homes}
        if held:
            some = [name for name in homes.values() if name in held]
            site = self._first_seen(held[some[0]])
            message = f"{names(some)}: gets a gradient, but the model does not know it."
            remedy = (
                "keep layers in nn.ModuleList or nn.ModuleDict instead of a list or a dict, "
                "parameters in nn.ParameterList, and a tensor to be trained as nn.Parameter."
            )
            yield Finding("unregistered", some, site, message, remedy)
        for leaf in strange:
            if id(leaf) not in homes and isinstance(leaf, Parameter):
                site = self._first_seen(leaf)
                message = (
                    f"a parameter of shape {leaf.shape} gets a gradient, but the model does not "
                    "hold it: no optimizer updates it."
                )
                remedy = "make it once in __init__ and assign it to an attribute of the module."
                yield Finding("unregistered", ["?"], site, message, remedy)

    def _first_seen(self, leaf: Tensor) -> Site | None:
        return self.watch.first_seen(leaf) if self.watch else None

    def find_missing(self) -> Iterator[Finding]:
        absent = [name for name in self.trained if name not in self.gradients]
        if self.watch is not None:
            yield from cuts.missing(self.watch, self.loss, self.trained, self.gradients)
        elif absent:
            reason = self.loss._cut if edge_of(self.loss) is None and self.loss._cut else None
            yield Finding(
                "missing",
                absent,
                None,
                "no gradient arrives" + (f": {reason}." if reason else " from the loss."),
                "run the forward pass under `with tx.doctor.watch():`, then the report names the "
                "line that cuts it.",
            )

    def find_nonfinite(self) -> Iterator[Finding]:
        bad = self._in("nan")
        if bad or not math.isfinite(norm(self.loss.array)):
            message, site, remedy = causes.why_nonfinite(self.scene, self.flow)
            yield Finding("nan", bad, site, message, remedy)

    def find_scale(self) -> Iterator[Finding]:
        for kind in ("zero", "vanishing", "exploding"):
            some = sorted(self._in(kind), key=self._rms, reverse=kind == "exploding")
            for parameters, (why, site, remedy) in self._causes(kind, some):
                largest = max(self.norms[name] for name in parameters)
                message = f"the gradient is {kind} (norm {largest:.1e}): {why}"
                yield Finding(kind, parameters, site, message, remedy)
        well = set(self._in("fine"))
        for node, message, site in causes.saturations(self.scene, self.loss):
            below = {id(leaf) for leaf in graph_order([node])}
            some = [name for name, p in self.params.items() if id(p) in below and name in well]
            if some:
                text = f"{message}: almost no gradient passes."
                yield Finding("vanishing", some, site, text, causes.SMALLER)

    def _causes(self, kind: str, some: list[str]) -> Iterator[tuple[list[str], Any]]:
        if not some:
            return
        if self.flow is None:
            remedy = "call the doctor before backward(), then it names the line."
            yield some, ("the graph was used up.", None, remedy)
        elif kind == "zero":
            flow = self.flow
            found = [(name, causes.why_zero(self.scene, flow, self.params[name])) for name in some]
            yield from group(found)
        else:
            sign = -1 if kind == "vanishing" else 1
            yield some, causes.why_scaled(self.scene, self.flow, self.params[some[0]], sign)

    def find_steps(self) -> Iterator[Finding]:
        if self.optimizer is None:
            return
        groups = self.optimizer.param_groups
        held = {id(p) for group in groups for p in group["params"]}
        stale = held - {id(p) for p in self.params.values()}
        left_out = [name for name, p in self.trained.items() if id(p) not in held]
        remedy = "make the optimizer from model.parameters(), after the model is complete."
        if stale:
            message = (
                f"{len(stale)} of the optimizer's {len(held)} parameters are not the model's: "
                "they belong to another model, or to a layer that was replaced."
            )
            yield Finding("stale optimizer", left_out, None, message, remedy)
        elif left_out:
            message = f"the optimizer does not hold {names(left_out)}: no step updates them."
            yield Finding("stale optimizer", left_out, None, message, remedy)
        still = [i for i, group in enumerate(groups) if group.get("lr") == 0]
        if still:
            members = {id(p) for i in still for p in groups[i]["params"]}
            some = [name for name, p in self.params.items() if id(p) in members]
            message = "the learning rate is 0: a step changes nothing."
            yield Finding("lr", some, None, message, "give the optimizer an lr, such as 1e-3.")
        near = [
            name
            for name in self._in("fine")
            if name not in left_out and self.updates[name] <= TOO_NEAR * self.weights[name]
        ]
        if near and not still and len(near) == len(self._in("fine")):
            moved = max((self._ratio(name) or 0.0 for name in near), default=0.0)
            how = f"moves the weights by {moved:.1g} of their size" if moved else "changes nothing"
            rates = [f"{float(group['lr']):g}" for group in groups if "lr" in group]
            rate = f" (learning rate {', '.join(dict.fromkeys(rates))})" if rates else ""
            message = f"one step {how}: it is too small{rate}."
            yield Finding("lr", near, None, message, "raise the learning rate; 1e-3 is usual.")
        far = [
            name
            for name in self._in("fine")
            if self.params[name].ndim > 1 and (self._ratio(name) or 0.0) > TOO_FAR
        ]
        if far:
            ratio = max(self._ratio(name) or 0.0 for name in far)
            message = f"one step moves the weights by {ratio:.2g} times their own size."
            yield Finding("lr", far, None, message, "lower the learning rate; 1e-3 is usual.")


def _hidden_tensors(model: Module) -> Iterator[tuple[int, str]]:
    """The ids and paths of tensors that a model holds in plain attributes, lists and dicts."""
    for path, module in model.named_modules():
        start = f"{path}." if path else ""
        for name, value in vars(module).items():
            if not name.startswith("_"):
                yield from _tensors(value, f"{start}{name}")


def _tensors(value: Any, name: str) -> Iterator[tuple[int, str]]:
    if isinstance(value, Tensor):
        yield id(value), name
    elif isinstance(value, Module):
        yield from ((id(p), f"{name}.{path}") for path, p in value.named_parameters())
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _tensors(part, f"{name}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for i, part in enumerate(value):
            yield from _tensors(part, f"{name}[{i}]")


doctor = Doctor()
