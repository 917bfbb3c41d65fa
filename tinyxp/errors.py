"""Every error that tinyxp raises, on the lowest floor so that every floor can raise it.

Each type is also the builtin that a Python programmer would expect to catch: a ``ShapeError`` is a
``ValueError``. A message says what was expected, what came, and how to fix it.
"""

from typing import Any


class TinyError(Exception):
    """The base of all errors raised by tinyxp; on the command line, one line and exit code 2.

    ``where`` says in which module of a model it was raised, and stands at the end of the message;
    ``trail`` holds the modules that it passed through, the innermost first.
    """

    where: str = ""
    trail: tuple[Any, ...] = ()

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} (in {self.where})" if self.where else message


class BackendError(TinyError, RuntimeError):
    """A backend is unknown, not installed, has no device, or two backends meet in one operation."""


class ExportError(TinyError, BufferError):
    """A tensor cannot be handed to another library in the way that was asked for."""


class OutOfMemoryError(TinyError, MemoryError):
    """A device has no memory left for an array."""


class ShapeError(TinyError, ValueError):
    """Shapes or axes do not fit the operation."""


class AxisError(ShapeError, IndexError):
    """An axis does not exist: an IndexError too, as the Array API asks."""


class DTypeError(TinyError, TypeError):
    """A dtype or a Python type does not fit the operation."""


class IndexingError(TinyError, IndexError):
    """An index lies outside its axis, or a key has too many or impossible parts."""


class GradientError(TinyError, RuntimeError):
    """A gradient was asked for that does not exist, or a graph was used up already."""


class ArgumentError(TinyError, ValueError):
    """An argument has a value outside its domain, an unknown name, or contradicts another one."""


class InputsError(ArgumentError):
    """A captured step got inputs unlike those that it was captured with."""


class CaptureError(TinyError, RuntimeError):
    """A step cannot become a CUDA graph: it does on the host what a replay would leave out."""


class DataError(TinyError, ValueError):
    """A file, a download or a data set is missing, empty, damaged or not what was asked for."""


class WorkerError(DataError, RuntimeError):
    """A worker process of a DataLoader died, did not start, or took too long."""


class AnomalyError(TinyError, ArithmeticError):
    """An operation made a NaN or Inf of finite numbers, under ``tx.detect_anomaly()``."""


class MilestoneError(TinyError):
    """A milestone was missed: a parameter did not move, or the control was not beaten."""
