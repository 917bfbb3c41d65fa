"""Modules whose options are declared as fields: the constructor and more follow from them."""

import inspect
import linecache
import os
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


def _method(
    cls: Any, name: str, parameters: list[Parameter], body: list[str], **names: Any
) -> Callable[..., Any]:
    """A method of ``cls``, compiled once from source, as ``dataclasses`` does: its calls cost as
    much as those of a method written by hand. ``names`` are the globals of its body."""
    own = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    bare = [p.replace(annotation=p.empty) for p in parameters]
    source = "\n    ".join([f"def {name}{inspect.Signature([own, *bare])}:", *body]) + "\n"
    title = f"{cls.__qualname__}.{name}"
    # inside this folder, because tinyxp tells its own frames from the user's by their file
    file = f"{os.path.dirname(__file__)}/<{cls.__module__}.{title}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # for tracebacks
    names["__name__"] = cls.__module__
    exec(compile(source, file, "exec"), names)
    method = names[name]
    method.__qualname__ = title
    annotated = [p for p in parameters if p.annotation is not p.empty]
    method.__annotations__ = {p.name: p.annotation for p in annotated}
    return method


def _constructor(cls: Any) -> Callable[..., None]:
    """The ``__init__`` of a class with these fields."""
    parameters, passed_on = [], []
    body = ["Module.__init__(self)"]
    for name, field in cls._fields.items():
        if not _is_stored(field):
            passed_on.append(name)
            field = field.replace(annotation=field.annotation.type)
        elif field.annotation == Tensor | None:
            body.append(f"self.register_buffer({name!r}, {name})")
        else:
            body.append(f"self.{name} = {name}")
        parameters.append(field)
    body.append(f"self.__post_init__({', '.join(passed_on)})")
    constructor = _method(cls, "__init__", parameters, body, Module=Module)
    constructor.__annotations__["return"] = None
    return constructor


def _forward(
    cls: Any, function: Callable[..., Any], learned: tuple[str, ...]
) -> Callable[..., Any]:
    """The ``forward`` of a class that calls this function with its fields and parameters."""
    stored = {name for name, field in cls._fields.items() if _is_stored(field)}
    stored.update(learned, ["training"])
    inputs: list[Parameter] = []
    args: list[str] = []
    for i, p in enumerate(inspect.signature(function).parameters.values()):
        if p.name in stored:
            by_place = len(args) == i and p.kind is not p.KEYWORD_ONLY  # which is faster
            args.append(f"self.{p.name}" if by_place else f"{p.name}=self.{p.name}")
        elif p.default is p.empty:
            inputs.append(p)
            args.append(p.name)
    call = f"{function.__name__}({', '.join(args)})"
    return _method(cls, "forward", inputs, [f"return {call}"], **{function.__name__: function})


@dataclass_transform(eq_default=False)
class FieldModule(Module):
    """A module whose options are declared as the fields of a dataclass.

    - ``__init__`` takes the fields in this order, those of base classes first, those after
      ``_: KW_ONLY`` by keyword. It stores them, a ``Tensor | None`` as a buffer, but no InitVar,
      and calls ``__post_init__`` with the values of the InitVars.
    - ``extra_repr`` shows the stored fields, ``inplace`` only if it is True; or it fills the
      template ``shown``, such as ``"{padding}, bias={has_bias}"``.
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
        if self._template is not None:  # a field may hold a module or a parameter
            has_bias = self._parameters.get("bias") is not None
            named = {**values, **self._modules, **self._parameters, "has_bias": has_bias}
            return self._template.format_map(named)
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
    ``learned`` are the names of parameters of the module that the function takes.
    """

    _function: ClassVar[Callable[..., Any]]

    def __init_subclass__(
        cls,
        function: Callable[..., Any] | None = None,
        learned: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        super().__init_subclass__(**options)
        if function is not None:
            cls._function = staticmethod(function)
            if cls.forward is Module.forward:
                cls.forward = _forward(cls, function, learned)  # type: ignore[method-assign]
