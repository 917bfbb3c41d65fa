"""Modules whose options are declared as fields: the constructor and more follow from them."""

import inspect
from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar
from inspect import Parameter
from typing import Any, ClassVar, dataclass_transform, get_origin

from tinyxp.core.tensor import Tensor
from tinyxp.nn.module import Module


def declared_fields(cls: type) -> dict[str, Parameter]:
    """The fields that the body of a class declares. Their defaults leave the class: an attribute
    of the class would stand in the way of a buffer of this name."""
    kind: Any = Parameter.POSITIONAL_OR_KEYWORD
    fields: dict[str, Parameter] = {}
    for name, annotation in inspect.get_annotations(cls).items():
        origin: Any = get_origin(annotation)
        if annotation is KW_ONLY:
            kind = Parameter.KEYWORD_ONLY
        elif origin is not ClassVar:
            default = vars(cls).get(name, Parameter.empty)
            fields[name] = Parameter(name, kind, default=default, annotation=annotation)
            if name in vars(cls):
                delattr(cls, name)
    return fields


def _is_stored(field: Parameter) -> bool:
    return not isinstance(field.annotation, InitVar)


def _constructor(cls: Any) -> Callable[..., None]:
    """The ``__init__`` of a class with these fields."""
    fields = cls._fields.values()
    buffers = {field.name for field in fields if field.annotation == Tensor | None}
    stored = {field.name for field in fields if _is_stored(field)}
    own = Parameter("self", Parameter.POSITIONAL_ONLY)
    shown = [
        field if _is_stored(field) else field.replace(annotation=field.annotation.type)
        for field in fields
    ]
    signature = inspect.Signature([own, *shown], return_annotation=None)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        super(FieldModule, self).__init__()
        passed_on = []
        for name in cls._fields:
            value = bound.arguments[name]
            if name in buffers:
                self.register_buffer(name, value)
            elif name in stored:
                setattr(self, name, value)
            else:
                passed_on.append(value)
        self.__post_init__(*passed_on)

    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    __init__.__module__ = cls.__module__
    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def _forward(cls: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The ``forward`` of a class that calls this function with its fields."""
    stored, inputs = [], [Parameter("self", Parameter.POSITIONAL_ONLY)]
    for p in inspect.signature(function).parameters.values():
        if p.name == "training" or (p.name in cls._fields and _is_stored(cls._fields[p.name])):
            stored.append(p.name)
        elif p.default is p.empty:
            inputs.append(p)
    signature, count = inspect.Signature(inputs), len(inputs) - 1

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != count:
            args = signature.bind(self, *args, **kwargs).args[1:]
        return function(*args, **{name: getattr(self, name) for name in stored})

    forward.__qualname__ = f"{cls.__qualname__}.forward"
    forward.__module__ = cls.__module__
    forward.__signature__ = signature  # type: ignore[attr-defined]
    return forward


@dataclass_transform(eq_default=False)
class FieldModule(Module):
    """A module whose options are declared as the fields of a dataclass.

    - ``__init__`` takes the fields in this order, those of base classes first, those after
      ``_: KW_ONLY`` by keyword. It stores them, a ``Tensor | None`` as a buffer, but no InitVar,
      and calls ``__post_init__`` with the values of the InitVars.
    - ``extra_repr`` shows the stored fields, ``inplace`` only if it is True; or it fills the
      template ``shown``, such as ``"{padding}"``.
    - ``axes`` is an attribute of the class, for classes that differ in it alone.
    """

    _template: ClassVar[str | None] = None
    _fields: ClassVar[dict[str, Parameter]] = {}
    axes: ClassVar[Any]

    def __init_subclass__(cls, shown: str | None = None, axes: Any = None, **options: Any) -> None:
        if axes is not None:
            cls.axes = axes
        if shown is not None:
            cls._template = shown
        # in a user's subclass an annotation is not a field
        fields = declared_fields(cls) if cls.__module__.startswith("tinyxp.") else {}
        if fields and "__init__" not in vars(cls):
            every = cls._fields | fields
            cls._fields = dict(sorted(every.items(), key=lambda field: field[1].kind))
            cls.__init__ = _constructor(cls)  # type: ignore[method-assign]
        super().__init_subclass__(**options)  # which makes the errors of __init__ typed

    def __post_init__(self) -> None:
        """Check the options, and bring them into the form in which they are stored."""

    def extra_repr(self) -> str:
        values = self.__dict__
        if self._template is not None:
            return self._template.format_map(values)
        names = [name for name in self._fields if name in values and name != "generator"]
        if not values.get("inplace", True):
            names.remove("inplace")
        quoted = {name: repr(x) if isinstance(x, str) else x for name, x in values.items()}
        return ", ".join(f"{name}={quoted[name]}" for name in names)


class FunctionalModule(FieldModule):
    """A module that stores the options of a function of ``nn.functional`` and calls it::

        class Hardtanh(FunctionalModule, function=F.hardtanh):
            min_val: float = -1.0
            max_val: float = 1.0
            inplace: bool = False

    ``forward`` takes the parameters of the function that are not fields and have no default.
    """

    _function: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, function: Callable[..., Any] | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if function is not None:
            cls._function = staticmethod(function)
            if cls.forward is Module.forward:
                cls.forward = _forward(cls, function)  # type: ignore[method-assign]
