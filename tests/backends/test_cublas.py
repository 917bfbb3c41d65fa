"""Our calls of cuBLAS and cuBLASLt, as far as they can be asked without a GPU."""

import ctypes
import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinyxp.backends.cupy.gemm import plan
from tinyxp.errors import BackendError

pytest.importorskip("cupy", reason="CuPy is not installed")
from tinyxp.backends.cupy import cublas, cublas_bias

# -- their signatures ------------------------------------------------------------------------------


def test_failures_are_told():
    library = cublas.library()  # so all of its functions are there
    assert (
        library.cublasGetStatusString(15).decode() == "the requested functionality is not supported"
    )
    with pytest.raises(BackendError, match="cublasCreate failed with status 1: the library was"):
        cublas.check("cublasCreate", 1)


def headers():
    """What NVIDIA's wheel says of cuBLAS and cuBLASLt, its comments left out."""
    found = importlib.util.find_spec("nvidia.cublas") or importlib.util.find_spec("nvidia.cu13")
    folder = found and Path(found.submodule_search_locations[0], "include")
    if not folder or not (folder / "cublasLt.h").exists():
        pytest.skip("NVIDIA's wheel of cuBLAS is not installed")
    texts = [(folder / name).read_text("utf-8") for name in ("cublas_api.h", "cublasLt.h")]
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", "\n".join(texts), flags=re.DOTALL)


def test_the_signatures_are_those_of_the_headers():
    text = headers()
    for name, types in cublas.SIGNATURES.items():
        declared = re.search(rf"CUBLASWINAPI {name}\(([^)]*)\);", text)[1].split(",")
        assert [as_ctypes(each) for each in declared] == list(types), name


NUMBERS = {"uint64_t": ctypes.c_uint64, "int64_t": ctypes.c_int64, "size_t": ctypes.c_size_t}
HANDLES = r"(cublas(Lt)?Handle|cublasLtMatmulDesc|cublasLtMatrixLayout|cublasLtMatmulPreference)_t"


def as_ctypes(declared):
    """The type of a declared argument, its name left out."""
    first, *rest = declared.split()
    if re.fullmatch(HANDLES + r"\*", first):
        return ctypes.POINTER(ctypes.c_void_p)
    if re.fullmatch(HANDLES, first) or first == "cudaStream_t" or re.search(r"[*\[]", declared):
        return ctypes.c_void_p
    if first == "long" and rest[0] == "long":
        return ctypes.c_longlong
    return NUMBERS.get(first, ctypes.c_int)  # and enumerations


def test_numbers_are_those_of_the_header():
    text = headers()
    value = lambda name: int(re.search(rf"{name} = (\d+),", text)[1])  # noqa: E731
    kinds = ("TRANSA", "TRANSB", "EPILOGUE", "BIAS_POINTER")
    ours = [getattr(cublas_bias, name) for name in kinds]
    assert ours == [value(f"CUBLASLT_MATMUL_DESC_{name}") for name in kinds]
    assert value("CUBLASLT_EPILOGUE_BIAS") == cublas_bias.BIAS
    pref = "CUBLASLT_MATMUL_PREF_"
    assert value(f"{pref}MAX_WORKSPACE_BYTES") == cublas_bias.MAX_WORKSPACE
    assert value(f"{pref}REDUCTION_SCHEME_MASK") == cublas_bias.REDUCTIONS
    assert value("CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE") == cublas_bias.AS_COMPUTED
    mode = "CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION"
    assert value(mode) == cublas.ADDED_IN_FLOAT32
    names = [f"{pref}MIN_ALIGNMENT_{x}_BYTES" for x in "ABCD"]
    assert [value(name) for name in names] == list(cublas_bias.ALIGNMENTS)
    assert value("CUBLAS_STATUS_NOT_SUPPORTED") == cublas_bias.NOT_SUPPORTED


# -- a product with a bias -------------------------------------------------------------------------


class Judge:
    """cuBLASLt's own descriptors, and a product that reads them, and memory, as its manual says."""

    def __init__(self):
        self.real, self.wishes, self.calls = cublas.library(), [], 0

    def __getattr__(self, name):
        return getattr(self.real, name)

    def read(self, what, of, number, kind):
        value, size = kind(), ctypes.c_size_t()
        get = getattr(self.real, f"cublasLt{what}GetAttribute")
        at = ctypes.c_void_p
        get.argtypes = at, ctypes.c_int, at, ctypes.c_size_t, at
        status = get(
            of, number, ctypes.addressof(value), ctypes.sizeof(value), ctypes.addressof(size)
        )
        assert status == 0
        return value.value

    def matrix(self, place, layout):
        """What lies at ``place``: columns, one after the other."""
        kind, rows, columns, step = (
            self.read("MatrixLayout", layout, number, each)
            for number, each in (
                *((0, ctypes.c_uint32), (2, ctypes.c_uint64)),
                *((3, ctypes.c_uint64), (4, ctypes.c_int64)),
            )
        )
        assert kind == 0 and step >= rows  # float32
        memory = (ctypes.c_float * ((columns - 1) * step + rows)).from_address(place)
        flat = np.frombuffer(memory, "float32")
        return np.lib.stride_tricks.as_strided(flat, (rows, columns), (4, 4 * step))

    def cublasLtMatmulAlgoGetHeuristic(
        self, handle, product, a, b, c, d, wishes, most, found, count
    ):
        numbers = (1, 5, 6, 7, 8)
        kinds = [ctypes.c_uint64] + [ctypes.c_uint32] * 4
        read = [
            self.read("MatmulPreference", wishes, *pair)
            for pair in zip(numbers, kinds, strict=True)
        ]
        self.wishes.append(read)
        ctypes.c_int.from_address(count).value = 1
        return 0

    def cublasLtMatmul(self, handle, product, one, a, la, b, lb, zero, c, lc, d, ld, *rest):
        alpha, beta = (ctypes.c_float.from_address(x).value for x in (one, zero))
        assert (alpha, beta, c) == (1.0, 0.0, d)
        flips = [self.read("MatmulDesc", product, i, ctypes.c_int32) for i in (3, 4)]
        a, b = (m.T if flip else m for m, flip in zip(
            (self.matrix(a, la), self.matrix(b, lb)), flips, strict=True))  # fmt: skip
        assert self.read("MatmulDesc", product, 7, ctypes.c_uint32) == 4
        bias = self.read("MatmulDesc", product, 8, ctypes.c_uint64)
        bias = np.frombuffer((ctypes.c_float * len(a)).from_address(bias), "float32")
        out = self.matrix(d, ld)
        out[...] = a @ b + bias[:, None]
        self.calls += 1
        return 0


@pytest.fixture
def judge(monkeypatch):
    found = Judge()
    own = SimpleNamespace(
        pointer=ctypes.c_void_p(), plans={}, stream=0, workspace=SimpleNamespace(ptr=0)
    )
    monkeypatch.setattr(cublas, "library", lambda: found)
    monkeypatch.setattr(cublas_bias, "library", lambda: found)
    monkeypatch.setattr(cublas_bias, "handle", lambda: own)
    found.plans = own.plans
    return found


def placed(x):
    """An array that says where it lies as CuPy's do."""
    return SimpleNamespace(data=SimpleNamespace(ptr=x.ctypes.data))


@pytest.mark.parametrize(
    "sizes", [(5, 4, 3), (1, 4, 3), (5, 1, 3), (5, 4, 1), (1, 1, 1), (64, 32, 16)]
)
def test_a_product_with_a_bias(sizes, judge):
    """Of matrices and transposes, with gaps between rows, and of new places by an old plan."""
    m, n, k = sizes
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype("float32")  # noqa: E731
    for a in (draw(m, k), draw(k, m).T, draw(m, k + 3)[:, :k]):
        for b in (draw(n, k).T, draw(k, n), draw(n, k + 5)[:, 2 : 2 + k].T):
            found = plan(*(s for x in (a, b) for s in (x.shape, tuple(i // 4 for i in x.strides))))
            for _ in range(2):
                bias, y = draw(n), np.full((m, n), np.nan, "float32")
                assert cublas_bias.multiply(found, *map(placed, (a, b, bias, y)), 0, 68)
                np.testing.assert_allclose(y, a @ b + bias, rtol=1e-5, atol=1e-5)
    assert judge.calls == 18


def test_a_plan_serves_places_aligned_as_well(judge):
    memory = np.zeros(2000, "float32")
    start = -memory.ctypes.data // 4 % 64  # of 256 bytes
    for shift, plans in ((0, 1), (64, 1), (4, 2), (12, 2), (1, 3)):
        x = memory[start + shift :][:16].reshape(4, 4)
        bias, y = (memory[start + 512 * i :][:n] for i, n in ((1, 4), (2, 16)))
        found = plan((4, 4), (4, 1), (4, 4), (1, 4))
        cublas_bias.multiply(found, *map(placed, (x, x, bias, y)), 0, 68)
        assert len(judge.plans) == plans
    assert [each[1:3] for each in judge.wishes] == [[256, 256], [16, 16], [4, 4]]
    assert {each[0] for each in judge.wishes} == {cublas.WORKSPACE}


def test_what_cublaslt_does_not_know_is_left(judge, monkeypatch):
    x = np.ones((4, 4), "float32")
    found = plan((4, 4), (4, 1), (4, 4), (1, 4))
    answer = lambda status: lambda *args: status  # noqa: E731
    monkeypatch.setattr(judge, "cublasLtMatmulAlgoGetHeuristic", answer(15), raising=False)
    assert not cublas_bias.multiply(found, *map(placed, (x, x, x[0], x)), 0, 68)
    judge.plans.clear()
    monkeypatch.setattr(judge, "cublasLtMatmulAlgoGetHeuristic", answer(7), raising=False)
    with pytest.raises(BackendError, match="GetHeuristic failed with status 7"):
        cublas_bias.multiply(found, *map(placed, (x, x, x[0], x)), 0, 68)
    assert judge.calls == 0
