"""Loss scaling keeps small float16 gradients from becoming 0."""

from typing import Any

from tinyxp.backends.common.capture import capturing
from tinyxp.core import dtypes
from tinyxp.core.operation import is_half
from tinyxp.core.tensor import Tensor
from tinyxp.core.tree import tree_map
from tinyxp.errors import ArgumentError, CaptureError, DTypeError, GradientError
from tinyxp.nn.utils.clip_grad import all_finite
from tinyxp.ops.creation import astype

State = dict[str, Any]


def next_scale(
    scale: float,
    good: int,
    finite: bool,
    growth: float = 2.0,
    backoff: float = 0.5,
    interval: int = 2000,
) -> tuple[float, int]:
    """The loss scale and the number of good steps since its last change, after one more step.

    >>> next_scale(8.0, 1999, finite=True), next_scale(8.0, 1999, finite=False)
    ((16.0, 0), (4.0, 0))
    """
    if not finite:
        return scale * backoff, 0
    return (scale, good + 1) if good + 1 < interval else (scale * growth, 0)


class GradScaler:
    """Multiply a loss by a scale, and divide the gradients by it before the optimizer's step.

    A step with NaN or Inf in its gradients is skipped, and the scale is multiplied by
    ``backoff_factor``; after ``growth_interval`` good steps in a row, by ``growth_factor``. Call
    ``scale(loss).backward()``, ``step(optimizer)``, ``update()``; to clip gradients, call
    ``unscale_`` first. With ``enabled=False`` all methods do nothing. ``device`` is accepted for
    PyTorch's sake and ignored. Raises ArgumentError for options out of range.

    >>> w = tx.asarray([1.0], requires_grad=True)
    >>> optimizer, scaler = tx.optim.SGD([w], lr=0.5), tx.amp.GradScaler(init_scale=4.0)
    >>> for factor in (1.0, tx.inf):
    ...     optimizer.zero_grad()
    ...     scaler.scale((factor * w).sum()).backward()
    ...     scaler.step(optimizer)
    ...     scaler.update()
    >>> w.item(), scaler.get_scale()  # the second step was skipped
    (0.5, 2.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if not isinstance(device, str):  # PyTorch's older order, without a device
            raise ArgumentError(f"GradScaler's device is a name, got {device!r}; pass init_scale=")
        if not (growth_factor > 1 and 0 < backoff_factor < 1 and init_scale > 0):
            raise ArgumentError(
                "GradScaler expects init_scale above 0, growth_factor above 1, backoff_factor "
                f"between 0 and 1; got {init_scale}, {growth_factor}, {backoff_factor}"
            )
        self._enabled = enabled
        self._scale, self._good = float(init_scale), 0
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        # by optimizer, since the last update: are its gradients finite, and was step() called?
        self._seen: dict[Any, dict[str, bool]] = {}

    def is_enabled(self) -> bool:
        """Whether the scaler is enabled."""
        return self._enabled

    def get_scale(self) -> float:
        """The present scale; 1 if the scaler is disabled."""
        return self._scale if self._enabled else 1.0

    def scale(self, outputs: Any) -> Any:
        """A loss, or each of a tuple, list or dict of losses, times the scale in float32."""
        if not self._enabled:
            return outputs
        return tree_map(self._times_scale, outputs)

    def _times_scale(self, x: Any) -> Any:
        if not isinstance(x, Tensor):
            raise DTypeError(f"scale expects Tensors, got {type(x).__name__}")
        return (astype(x, dtypes.float32) if is_half(x) else x) * self._scale

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer by the scale, once between two updates.

        Raises GradientError if that was done already, DTypeError for float16 gradients, which have
        already lost their small values.
        """
        if not self._enabled:
            return
        seen = self._seen.get(optimizer)
        if seen is not None:
            what = "step() has" if seen["stepped"] else "unscale_() has"
            raise GradientError(f"{what} already been called on this optimizer since update()")
        params = [p for group in optimizer.param_groups for p in group["params"]]
        grads = []
        for p in params:
            if p.grad is None:
                continue
            if p.grad.dtype is dtypes.float16:
                raise DTypeError(
                    "gradients in float16 cannot be unscaled; keep the model in float32 and "
                    "compute under autocast"
                )
            p.grad = p.grad.detach() * (1 / self._scale)
            grads.append(p.grad)
        self._seen[optimizer] = {"finite": not grads or all_finite(grads), "stepped": False}

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)`` with unscaled gradients, unless one has NaN or Inf.

        Raises GradientError if it was already called since the last update, ArgumentError for a
        closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if args or kwargs.get("closure") is not None:
            raise ArgumentError("GradScaler.step takes no closure; call backward() first")
        if optimizer in self._seen and self._seen[optimizer]["stepped"]:
            raise GradientError("step() has already been called on this optimizer since update()")
        if optimizer not in self._seen:
            self.unscale_(optimizer)
        seen = self._seen[optimizer]
        seen["stepped"] = True
        return optimizer.step(**kwargs) if seen["finite"] else None

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale to the steps since the last update, or set it to ``new_scale``.

        Raises GradientError if there was no step, CaptureError inside a captured step.
        """
        if not self._enabled:
            return
        if capturing() is not None:
            raise CaptureError(
                "scaler.update() inside a captured step would run only once; capture only the "
                "forward and backward pass"
            )
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._seen:
            raise GradientError("update() expects scaler.step(optimizer) before it")
        else:
            finite = all(seen["finite"] for seen in self._seen.values())
            how = self._growth_factor, self._backoff_factor, self._growth_interval
            self._scale, self._good = next_scale(self._scale, self._good, finite, *how)
        self._seen = {}

    def state_dict(self) -> State:
        """The scale and its options, under PyTorch's names; {} if the scaler is disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good,
        }

    def load_state_dict(self, state_dict: State) -> None:
        """Continue from a state, ours or PyTorch's; a disabled scaler ignores it, as in PyTorch.
        Raises ArgumentError for missing or unknown entries."""
        if not self._enabled:
            return
        own = self.state_dict().keys()
        for what, names in (("lacks", own - state_dict.keys()), ("has", state_dict.keys() - own)):
            if names:
                raise ArgumentError(
                    f"the state of a GradScaler has {', '.join(own)}; this one {what} "
                    f"{', '.join(sorted(names))}, and that of a disabled one is empty"
                )
        self._scale, self._good = float(state_dict["scale"]), int(state_dict["_growth_tracker"])
        self._growth_factor = float(state_dict["growth_factor"])
        self._backoff_factor = float(state_dict["backoff_factor"])
        self._growth_interval = int(state_dict["growth_interval"])
