"""Context managers that are also decorators: every ``with`` block of the library is a Block.

A Block can be entered again, inside itself, and in several threads and tasks at once. It decorates
functions, methods, generators, coroutines and asynchronous generators, and is active while these
run, not while they wait.
"""

import functools
import inspect
import types
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, wait
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token, copy_context
from typing import Any

from tinyxp.errors import DTypeError

Call = Callable[..., Any]
_entered: ContextVar[Any] = ContextVar("tinyxp_entered")  # its tokens tell whose block ends


class Block(AbstractContextManager[Any]):
    """A ``with`` block and decorator; ``_open()`` makes the context manager of one entry."""

    def __init_subclass__(cls, bare: bool = False) -> None:
        """``bare``: no argument is needed, and ``@block`` decorates as ``@block()`` does."""
        super().__init_subclass__()
        if bare:
            cls.__signature__ = inspect.signature(cls)  # type: ignore[attr-defined]
            cls.__new__ = _bare  # type: ignore[method-assign]

    def _open(self) -> AbstractContextManager[Any]:
        raise NotImplementedError

    def _caller(self) -> Call:
        """``call(f, *args)``, which calls f inside the block; a generator calls it at each step."""
        manager = self._open()
        if isinstance(manager, Block):
            return manager._caller()

        def call(f: Call, *args: Any, **options: Any) -> Any:
            with self._open():
                return f(*args, **options)

        return call

    def __enter__(self) -> Any:
        manager = self._open()
        value = manager.__enter__()
        self._entries.append((_entered.set(None), manager))
        return value

    def __exit__(self, *error: Any) -> bool | None:
        entries = self._entries
        entry = next((e for e in reversed([*entries]) if put_back(_entered, e[0])), entries[-1])
        entries.remove(entry)
        ended: bool | None = entry[1].__exit__(*error)
        return ended

    @property
    def _entries(self) -> list[tuple[Token[Any], AbstractContextManager[Any]]]:
        entries: list[Any] = self.__dict__.setdefault("_entries", [])
        return entries

    def __call__(self, f: Any) -> Any:
        return _decorated(self, f)


def _bare(cls: Any, *args: Any, **options: Any) -> Any:
    methods = classmethod, staticmethod
    if len(args) == 1 and not options and (callable(args[0]) or isinstance(args[0], methods)):
        return cls()(args[0])  # no instance of cls, so that Python calls no __init__
    return object.__new__(cls)


def put_back(variable: Any, token: Token[Any]) -> bool:
    """Reset a variable; returns False if the token is from another thread or task."""
    try:
        variable.reset(token)
    except ValueError:
        return False
    return True


def with_value(variable: ContextVar[Any], value: Any, f: Call, *args: Any) -> Any:
    """``f(*args)`` while a variable has another value: ``bound`` for one call, at less cost."""
    token = variable.set(value)
    try:
        return f(*args)
    finally:
        variable.reset(token)


class bound(Block):
    """Give a variable a value inside the block, and its old value afterwards."""

    def __init__(self, variable: ContextVar[Any], value: Any) -> None:
        self._variable, self._value = variable, value
        self._tokens: list[Token[Any]] = []

    def _open(self) -> "bound":
        return bound(self._variable, self._value)

    def _caller(self) -> Call:
        own = self._open()

        def call(f: Call, *args: Any, **options: Any) -> Any:
            with own:
                try:
                    return f(*args, **options)
                finally:  # a generator continues with the value that it had when it stopped
                    own._value = own._variable.get()

        return call

    def __enter__(self) -> Any:
        self._tokens.append(self._variable.set(self._value))
        return self._value

    def __exit__(self, *error: object) -> None:
        for token in reversed([*self._tokens]):
            if put_back(self._variable, token):
                self._tokens.remove(token)
                return


def block(make: Callable[..., Iterator[Any]]) -> Callable[..., Block]:
    """As ``contextlib.contextmanager``, but makes a Block."""
    manager = contextmanager(make)

    @functools.wraps(make)
    def new(*args: Any, **options: Any) -> Block:
        made = Block()
        made._open = functools.partial(manager, *args, **options)  # type: ignore[method-assign]
        return made

    return new


def run_on_threads(pool: Executor, functions: Iterable[Callable[[], Any]]) -> list[Any]:
    """The results of functions on the threads of a pool, inside the blocks of the caller."""
    futures = [pool.submit(copy_context().run, f) for f in functions]
    wait(futures)
    return [future.result() for future in futures]


# -- decorators -----------------------------------------------------------------------------------


def _decorated(block: Block, f: Any) -> Any:
    """``f``, which runs inside the block."""
    if isinstance(f, (classmethod, staticmethod)):
        return type(f)(_decorated(block, f.__func__))
    if isinstance(f, type):
        raise DTypeError(
            f"a block decorates functions, got the class {f.__name__}; take its methods"
        )
    if not callable(f):
        raise DTypeError(f"a block decorates a function, got {type(f).__name__}")
    called: Any = f if inspect.isroutine(f) else getattr(f, "__call__", f)  # noqa: B004
    for ask, wrap in (
        (inspect.isasyncgenfunction, _async_generator),
        (inspect.iscoroutinefunction, _coroutine),
        (inspect.isgeneratorfunction, _generator),
    ):
        if ask(f) or ask(called):
            return wrap(block, f)

    @functools.wraps(f)
    def call(*args: Any, **options: Any) -> Any:
        return block._caller()(f, *args, **options)

    return call


def _steps(inside: Call, steps: Any) -> Generator[Any, Any, Any]:
    """Run a generator or coroutine whose every step is ``inside`` the block."""
    step, given = steps.send, None
    try:
        while True:
            out = inside(step, given)
            try:
                step, given = steps.send, (yield out)
            except GeneratorExit:
                inside(steps.close)
                raise
            except BaseException as error:
                step, given = steps.throw, error
    except StopIteration as end:
        return end.value


_awaited = types.coroutine(_steps)


def _generator(block: Block, f: Any) -> Any:
    @functools.wraps(f)
    def call(*args: Any, **options: Any) -> Any:
        return (yield from _steps(block._caller(), f(*args, **options)))

    return call


def _coroutine(block: Block, f: Any) -> Any:
    @functools.wraps(f)
    async def call(*args: Any, **options: Any) -> Any:
        return await _awaited(block._caller(), f(*args, **options))

    return call


def _async_generator(block: Block, f: Any) -> Any:
    @functools.wraps(f)
    async def call(*args: Any, **options: Any) -> Any:
        inside, steps = block._caller(), f(*args, **options)
        step, given = steps.asend, None
        try:
            while True:
                out = await _awaited(inside, step(given))
                try:
                    step, given = steps.asend, (yield out)
                except GeneratorExit:
                    await _awaited(inside, steps.aclose())
                    raise
                except BaseException as error:
                    step, given = steps.athrow, error
        except StopAsyncIteration:
            return

    return call
