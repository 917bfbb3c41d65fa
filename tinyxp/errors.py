"""Every error that tinyxp raises.

Each type is also the builtin that a Python programmer would expect to catch: a ``ShapeError`` is a
``ValueError``. A message says what was expected, what came, and how to fix it.
"""

from typing import Any


class TinyError(Exception):
    """The base of all errors of tinyxp; the command line prints it in a line, with exit code 2.

    ``where`` names the module of a model that raised it, at the end of the message; ``trail`` holds
    the modules that it passed through, innermost first.
    """

    where: str = ""
    trail: tuple[Any, ...] = ()

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} (in {self.where})" if self.where else message


class BackendError(TinyError, RuntimeError):
    """A backend is unknown, not installed, has no device, or two backends meet in one operation."""


class ExportError(TinyError, BufferError):
    """A tensor cannot be exported to another library as requested."""


class OutOfMemoryError(TinyError, MemoryError):
    """A device has too little memory for an array."""


class ShapeError(TinyError, ValueError):
    """Shapes or axes do not fit the operation."""


class AxisError(ShapeError, IndexError):
    """An axis does not exist; also an IndexError, as the Array API asks."""


class DTypeError(TinyError, TypeError):
    """A dtype or a Python type does not fit the operation."""


class IndexingError(TinyError, IndexError):
    """An index lies outside its axis, or a key has too many or impossible parts."""


class GradientError(TinyError, RuntimeError):
    """A gradient does not exist, or its graph has been freed."""


class ArgumentError(TinyError, ValueError):
    """An argument has a value outside its domain, an unknown name, or contradicts another one."""


class InputsError(ArgumentError):
    """A captured step got inputs that differ from those that it was captured with."""


class CaptureError(TinyError, RuntimeError):
    """A step cannot be captured: it does something on the host that a replay would leave out."""


class DataError(TinyError, ValueError):
    """A file, a download or a data set is missing, empty, damaged or another than expected."""


class WorkerError(DataError, RuntimeError):
    """A worker process of a DataLoader died, did not start, or took too long."""


class AnomalyError(TinyError, ArithmeticError):
    """An operation made a NaN or Inf of finite numbers, under ``tx.detect_anomaly()``."""


class MilestoneError(TinyError):
    """A milestone was missed: a parameter did not move, or the control was not beaten."""
