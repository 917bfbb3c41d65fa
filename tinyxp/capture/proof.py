"""The proof of a recording: its replays give the bits of the step."""

from typing import Any

from tinyxp.capture.replay import Replay
from tinyxp.core.foreign_errors import brief
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.core.tree import leaves_of
from tinyxp.errors import CaptureError


def prove(recorder: Any, replay: Replay, trials: list[Any]) -> None:
    """Raise CaptureError unless replays give the bits of the trials."""
    with recorder.recording.restoring():
        for given, result, values, bound in trials:
            recorder.begin()
            done, outputs = replay.run(replay.match(given))
            if not done:  # the step takes another branch for these inputs
                outputs = recorder.try_step(given)
            results = zip(leaves_of(outputs), leaves_of(result), strict=True)
            pairs = [(f"its result {k}", a, b) for k, (a, b) in enumerate(results)]
            for x in replay.state:
                what = f"a tensor of {brief(x)} that it changes"
                pairs.append((what, x, wrap(values[x][0], x.backend)))
            for x in replay.gradients:
                pairs.append((f"the gradient of a tensor of {brief(x)}", x.grad, values[x][1]))
            pairs += [(name.label, name.now(), name.value) for name in bound]
            wrong = [what for what, a, b in pairs if not equal_bits(a, b)]
            if wrong:
                raise CaptureError(
                    f"a replay of this step differs from the step in {wrong[0]}: the step takes "
                    "numbers from a place that a recording does not see, such as NumPy's functions "
                    "on x.numpy() or Python's random, or from tensors that it has changed since; "
                    "use tinyxp's operations only, and pass other changing values as inputs"
                )


def equal_bits(a: Any, b: Any) -> bool:
    """Whether two tensors hold the same bits, or two other things are equal."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return bool(a == b)
    return a.shape == b.shape and a.dtype is b.dtype and a.array.tobytes() == b.array.tobytes()
