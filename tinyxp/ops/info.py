"""The Array API's inspection of the namespace, for the backend in use."""

from typing import Any

from tinyxp import backends
from tinyxp.core.dtypes import BY_NAME, DEFAULT_COMPLEX, DEFAULT_FLOAT, DEFAULT_INT, DType, isdtype
from tinyxp.errors import BackendError

__all__ = ["__array_namespace_info__"]


class Devices(list[str]):
    """A list that also passes for a tuple: the standard asks for a list up to 2024.12, to which
    SciPy adds a list, and for a tuple since 2025.12."""

    __class__ = property(lambda self: tuple)  # isinstance asks this too

    def __add__(self, other: Any) -> "Devices":  # type: ignore[override]
        return Devices([*self, *other])

    def __eq__(self, other: object) -> bool:
        return [*self] == [*other] if isinstance(other, (list, tuple)) else NotImplemented

    def __hash__(self) -> int:  # type: ignore[override]
        return hash((*self,))


class Info:
    """What ``tx.__array_namespace_info__()`` returns, for the backend in use."""

    def capabilities(self) -> dict[str, bool | int | None]:
        """What the namespace supports.

        >>> tx.__array_namespace_info__().capabilities()["boolean indexing"]
        True
        """
        return {
            "boolean indexing": True,
            "data-dependent shapes": True,
            "max dimensions": 64,  # in NumPy and PyTorch; no library here has fewer
        }

    def default_device(self) -> str:
        """The device of new tensors.

        >>> tx.__array_namespace_info__().default_device()
        'cpu'
        """
        return backends.current().devices()[0]

    def devices(self) -> Devices:
        """The devices that ``device=`` takes.

        >>> tx.__array_namespace_info__().devices()
        ['cpu']
        """
        return Devices(backends.current().devices())

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """The dtypes of new tensors, and of indices.

        >>> tx.__array_namespace_info__().default_dtypes()["real floating"]
        tinyxp.float32
        """
        self._check(device)
        return {
            "real floating": DEFAULT_FLOAT,
            "complex floating": DEFAULT_COMPLEX,
            "integral": DEFAULT_INT,
            "indexing": DEFAULT_INT,
        }

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, DType]:
        """The dtypes of one kind or several, by name; ``tx.isdtype`` lists the kinds.

        >>> tx.__array_namespace_info__().dtypes(kind="real floating")
        {'float32': tinyxp.float32, 'float64': tinyxp.float64}
        """
        self._check(device)
        # the standard's dtypes, which do not include float16 and bfloat16
        known = {n: BY_NAME[n] for n in backends.current().dtypes if n in backends.DTYPE_NAMES}
        if kind is None:
            return known
        return {name: dtype for name, dtype in known.items() if isdtype(dtype, kind)}

    def _check(self, device: str | None) -> None:
        if device is not None and device not in self.devices():
            choices = ", ".join(map(repr, self.devices()))
            name = backends.current().name
            raise BackendError(
                f"the backend {name!r} has no device {device!r}; choose one of {choices}"
            )


def __array_namespace_info__() -> Info:
    """The inspection functions of the Array API: capabilities, devices, dtypes.

    >>> tx.__array_namespace_info__().devices()
    ['cpu']
    """
    return Info()
