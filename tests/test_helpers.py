"""The tests' own helpers: ``each`` runs every case and names those that fail."""

import pytest

from tests.compare import difference, differences
from tests.helpers import each


def test_each_runs_all_cases_and_names_those_that_fail():
    seen = []

    @each("a", [1, 2])
    @each(("b", "c"), [(3, 4), (5, 6)])
    def test(a, b, c):
        seen.append((a, b, c))
        assert (a, b) != (2, 3)

    with pytest.raises(ExceptionGroup, match="1 of 2 cases failed") as info:
        test()
    assert seen == [(1, 3, 4), (1, 5, 6), (2, 3, 4), (2, 5, 6)]
    (inner,) = info.value.exceptions
    assert inner.__notes__ == ["a=2"]
    assert inner.exceptions[0].__notes__ == ["b=3, c=4"]


def test_each_tells_of_an_error_that_did_not_come():
    @each("a", [1, 0])
    def test(a):
        with pytest.raises(ZeroDivisionError):
            1 / a

    with pytest.raises(BaseExceptionGroup, match="1 of 2 cases failed") as info:
        test()
    assert info.value.exceptions[0].__notes__ == ["a=1"]


@each("seed", [0, 1])
def test_each_case_starts_with_the_same_random_numbers(seed, rng, monkeypatch):
    import tests.helpers as module

    assert rng.normal() == pytest.approx(0.12573022)
    assert not hasattr(module, "patched")
    monkeypatch.setattr(module, "patched", seed, raising=False)


def test_difference_names_the_place():
    assert difference([1.0, 2.0], [1.0, 2.0]) is None
    assert difference([1.0, 2.0], [1.0, 2.1]) == "2.0 instead of 2.1 at (1,) (1 of 2)"
    assert difference([1.0, 2.0], [1.0, 2.1], 0.1) is None
    assert difference([1e-4], [2e-4], 1e-2) is None
    assert difference([1e-4], [2e-4], 1e-2, floor=1e-4) is not None
    assert difference([0.0], [-0.0]) and difference([0.0], [-0.0], 1e-9) is None
    nan, inf = float("nan"), float("inf")
    for tolerance in (0.0, 1e-9):
        assert difference([nan, inf], [nan, inf], tolerance) is None
        assert difference([inf], [-inf], tolerance) and difference([1.0], [nan], tolerance)
    assert difference([1], [1.0]) == "int64 (1,) instead of float64 (1,)"
    assert differences({"a": [1, 2]}, {"a": [1, 3]}) == ["['a'][1]: 2 instead of 3 at () (1 of 1)"]
    assert differences([1], [1, 2]) and differences({"a": 1}, {"b": 1})
