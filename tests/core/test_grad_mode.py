"""Blocks: grad modes and all others, as statements, ``with`` blocks and decorators of anything.

Each block is known by one question, whose answer it changes: so that all forms are asked the same.
"""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import tinyxp as tx
from tinyxp import backends, random
from tinyxp.backends import threads
from tinyxp.core import autocast as autocasting
from tinyxp.debug import observers as instruments
from tinyxp.errors import BackendError, DTypeError
from tinyxp.nn import init
from tinyxp.train import evaluation

MODEL = tx.nn.Dropout()
FINDER = instruments.Observer()
OTHER = tx.random.Generator(7)


def observers():
    return len(instruments._observers.get())


BLOCKS = {  # how to make one, a question, its answer inside
    "no_grad": (tx.no_grad, tx.is_grad_enabled, False),
    "set_grad_enabled": (lambda: tx.set_grad_enabled(False), tx.is_grad_enabled, False),
    "inference_mode": (tx.inference_mode, tx.is_grad_enabled, False),
    "autocast": (tx.autocast, tx.amp.is_autocast_enabled, True),
    "within": (
        lambda: autocasting.within(autocasting.Region(tx.float16)),
        tx.amp.is_autocast_enabled,
        True,
    ),
    "backend": (lambda: tx.backend("strict"), lambda: backends.current().name, "strict"),
    "using": (
        lambda: backends.using(backends.get("strict")),
        lambda: backends.current().name,
        "strict",
    ),
    "skip_draws": (init.skip_draws, init._skipping.get, True),
    "use_generator": (
        lambda: random.use_generator(OTHER),
        lambda: random.default_generator() is OTHER,
        True,
    ),
    "watch_generators": (random.watch_generators, lambda: random._watching.get() is None, False),
    "detect_anomaly": (tx.detect_anomaly, observers, 1),
    "watch": (tx.doctor.watch, observers, 1),
    "observing": (lambda: instruments.observing(FINDER), observers, 1),
    "evaluation": (lambda: evaluation(MODEL), lambda: MODEL.training, False),
    "limited": (lambda: threads.limited(1), lambda: bool(threads._limits), True),
}
BARE = ("no_grad", "enable_grad", "inference_mode", "autocast", "detect_anomaly")


class Asker:
    def __init__(self, ask):
        self.ask = ask

    def __call__(self):
        return self.ask()


@pytest.fixture(params=BLOCKS)
def case(request):
    gc.collect()  # generators of other tests, which stopped inside a block
    make, ask, inside = BLOCKS[request.param]
    outside = ask()
    assert outside != inside
    yield make, ask, inside, outside
    assert ask() == outside, "the state did not come back"


def test_with_again_and_inside_itself(case):
    make, ask, inside, outside = case
    block = make()
    for _ in range(2):
        with block:
            assert ask() == inside
            with block, make():
                assert ask() == inside or isinstance(inside, int)  # which count
            assert ask() == inside
        assert ask() == outside
    with pytest.raises(ZeroDivisionError), block:
        raise ZeroDivisionError
    assert ask() == outside


def test_functions_and_methods(case):
    make, ask, inside, outside = case
    block = make()

    @block
    def depth(n):
        """Its docstring."""
        return [ask()] + (depth(n - 1) if n else [])

    class Thing:
        @block
        def method(self):
            return type(self), ask()

        @block
        @staticmethod
        def static():
            return ask()

        @classmethod
        @block
        def of_class(cls):
            return cls, ask()

        @block
        @classmethod
        def of_class_too(cls):
            return cls, ask()

        @block
        def __call__(self):
            return ask()

    @block
    def fails():
        raise ZeroDivisionError

    assert (depth.__name__, depth.__doc__, depth(0)) == ("depth", "Its docstring.", [inside])
    assert depth(2)[0] == inside
    assert Thing().method() == Thing.of_class() == Thing().of_class_too() == (Thing, inside)
    assert Thing.static() == Thing()() == block(lambda: ask())() == inside
    assert block(Asker(ask))() == inside
    with pytest.raises(ZeroDivisionError):
        fails()
    assert ask() == outside


def test_generators(case):
    make, ask, inside, outside = case

    @make()
    def steps(first):
        got = yield first, ask()
        try:
            yield got, ask()
        except ZeroDivisionError:
            yield "caught", ask()
        finally:
            ended.append(ask())
        return ask()

    def outer():
        return (yield from steps(1))

    ended = []
    g = outer()
    assert (next(g), ask()) == ((1, inside), outside)
    assert (g.send("sent"), ask()) == (("sent", inside), outside)
    assert (g.throw(ZeroDivisionError), ask()) == (("caught", inside), outside)
    with pytest.raises(StopIteration) as end:
        next(g)
    assert (end.value.value, ended, ask()) == (inside, [inside], outside)
    left = steps(1), steps(2)
    assert [next(g)[1] for g in left] == [inside, inside]
    assert [next(g)[1] for g in left] == [inside, inside]
    assert ask() == outside
    left[0].close()
    del left, g
    gc.collect()
    assert (ended[1:], ask()) == ([inside, inside], outside)


def test_coroutines_and_asynchronous_generators(case):
    make, ask, inside, outside = case
    block = make()

    @block
    async def answer(n):
        before = ask()
        await asyncio.sleep(0)
        return n, before, ask()

    @block
    async def answers():
        try:
            for _ in range(3):
                got = yield ask()
                await asyncio.sleep(0)
                assert got is None
        finally:
            ended.append(ask())

    async def other():
        seen = []
        for _ in range(6):
            seen.append(ask())
            await asyncio.sleep(0)
        return seen

    async def main():
        results = await asyncio.gather(answer(1), other(), answer(2))
        found = []
        async for a in answers():
            found.append((a, ask()))
        g = answers()
        await g.__anext__()
        await g.aclose()
        h = answers()
        await h.__anext__()
        with pytest.raises(ZeroDivisionError):
            await h.athrow(ZeroDivisionError)
        return results, found, ask()

    ended = []
    (one, others, two), found, after = asyncio.run(main())
    assert (one, two) == ((1, inside, inside), (2, inside, inside))
    assert others == [outside] * 6
    assert (found, ended, after) == ([(inside, outside)] * 3, [inside] * 3, outside)
    by_hand = answer(3)
    by_hand.send(None)
    assert ask() == outside  # while it waits
    by_hand.close()


def test_threads_share_a_block(case):
    make, ask, inside, _ = case
    block, ready, done = make(), threading.Event(), threading.Event()

    def other():
        with block:
            ready.set()
            assert done.wait(10)
            return ask()

    with ThreadPoolExecutor() as pool:
        found = pool.submit(other)
        assert ready.wait(10)
        with block:
            assert ask() == inside
        done.set()
        assert found.result() == inside


def test_a_suspended_generator_keeps_its_own_mode():
    @tx.no_grad()
    def steps():
        with tx.enable_grad():
            yield tx.is_grad_enabled()
            yield tx.is_grad_enabled()
        yield tx.is_grad_enabled()
        tx.set_grad_enabled(True)
        yield tx.is_grad_enabled()
        yield tx.is_grad_enabled()

    found = []
    with tx.no_grad():
        for mode in steps():
            found.append(mode)
            assert not tx.is_grad_enabled()
    assert found == [True, True, False, True, True]
    assert tx.is_grad_enabled()


def test_a_block_that_ends_elsewhere():
    """What a task left to the event loop is closed in another context."""

    async def left_open():
        with tx.no_grad(), tx.autocast(), tx.backend("strict"):
            yield 1

    async def main():
        await left_open().__anext__()
        gc.collect()
        await asyncio.sleep(0)

    problems = []

    async def noting():
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: problems.append(what))
        await asyncio.create_task(main())
        await asyncio.sleep(0)
        return tx.is_grad_enabled(), backends.current().name

    assert asyncio.run(noting()) == (True, "numpy")
    assert problems == []


@pytest.mark.parametrize("name", BARE)
def test_without_brackets(name):
    decorator = getattr(tx, name)
    make, ask, inside = BLOCKS.get(name, (tx.enable_grad, tx.is_grad_enabled, True))
    with tx.set_grad_enabled(name != "enable_grad"):
        outside = ask()

        @decorator
        def f():
            """Asks."""
            return ask()

        @decorator
        def g():
            yield ask()

        class Thing:
            @decorator
            def method(self):
                return isinstance(self, Thing) and ask()

        assert (f(), next(g()), Thing().method(), ask()) == (inside, inside, inside, outside)
        assert (f.__name__, f.__doc__) == ("f", "Asks.")
    with pytest.raises(DTypeError, match="class"):

        @decorator
        class Other:
            pass

    assert isinstance(make(), decorator)


def test_set_grad_enabled_as_a_statement():
    w = tx.asarray([1.0], requires_grad=True)
    try:
        tx.set_grad_enabled(False)
        assert not (w * 2).requires_grad and not tx.is_grad_enabled()
        with ThreadPoolExecutor() as pool:
            assert pool.submit(tx.is_grad_enabled).result()  # of each thread its own
        with tx.enable_grad():
            assert (w * 2).requires_grad
        assert not tx.is_grad_enabled()
        y = tx.set_grad_enabled(True)
        (w * 2).sum().backward()
        assert w.grad.tolist() == [2.0]
        with y:
            pass
        assert not tx.is_grad_enabled()  # as before the statement, which began the block
    finally:
        tx.set_grad_enabled(True)


def test_set_grad_enabled_as_a_decorator_is_no_statement():
    @tx.set_grad_enabled(False)
    def f():
        return tx.is_grad_enabled()

    assert (tx.is_grad_enabled(), f(), tx.is_grad_enabled()) == (True, False, True)
    with tx.set_grad_enabled(mode=False):
        tx.set_grad_enabled(True)
        assert tx.is_grad_enabled()
    with tx.no_grad(), tx.inference_mode(False):
        assert tx.is_grad_enabled()
    assert tx.is_grad_enabled()


@pytest.mark.parametrize(
    "call",
    [
        lambda: tx.set_grad_enabled("no"),
        lambda: tx.set_grad_enabled(0),
        lambda: tx.set_grad_enabled(lambda: 0),
        lambda: tx.inference_mode(1),
        lambda: tx.detect_anomaly("all"),
        lambda: tx.no_grad()(3),
        lambda: tx.no_grad()(int),
        lambda: tx.backend("strict")(None),
    ],
)
def test_what_is_no_mode_or_no_function_is_refused(call):
    with pytest.raises(DTypeError):
        call()
    assert tx.is_grad_enabled()


def test_a_backend_that_is_not_there_is_refused_at_once():
    with pytest.raises(BackendError):
        tx.backend("nosuch")


def test_the_doctor_sees_a_statement(tmp_path):
    model = tx.nn.Linear(2, 1)
    with tx.doctor.watch():
        h = model(tx.ones((3, 2)))
        tx.set_grad_enabled(False)
        h = h * 2
        tx.set_grad_enabled(True)
        loss = (h * tx.asarray(1.0, requires_grad=True)).sum()
    assert "no_grad" in str(tx.doctor(loss, model))
