#!/usr/bin/env bash
# For a machine with a GPU, CuPy and PyTorch, also without a network: a probe of assumptions about CuPy,
# the tests on CuPy, then training steps of tinyxp and PyTorch on that GPU.
#
#     bench/gpu_check.sh [WHEELS [STAGE…]]
#
# WHEELS is a folder with wheels of missing packages: array-api-compat, and for the tests pytest,
# pytest-xdist, hypothesis, array-api-strict, expecttest. Stages are probe, kernels, parity and bench;
# the default is all of them.
#
# It ends within LIMIT seconds (580) and skips what does not fit; another call with the stage `bench`
# continues the report of that day, in $OUT or in bench/results. A longer run is a separate call:
# python3 -m bench.gpu --char-run --text FILE
#
# Writes <device>-<date>.md, .json and .svg into $OUT, or into bench/results. The exit code is 1 if a
# test or a part failed, and 2 with one line if there is no GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-bench/results}
mkdir -p "$out"
wheels=${1:-}
stages=" ${*:2} "
[ "$stages" != "  " ] || stages=" probe kernels parity bench "
due=$((SECONDS + ${LIMIT:-580}))

extra=$(mktemp -d)
trap 'rm -rf "$extra"' EXIT
if [ -n "$wheels" ]; then
    python3 -m pip install --quiet --no-index --no-deps --target "$extra" "$wheels"/*.whl
fi
export PYTHONPATH="$PWD:$extra${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

device=$(python3 - <<'PYTHON'
import sys
import tinyxp as tx
from tinyxp.backends.cupy import setup as cuda_setup
try:
    print(tx.cuda.get_device_name().replace(" ", "-"))
except tx.errors.BackendError as error:
    print("gpu_check:", *(cuda_setup.advice(cuda_setup.look()) or [error]), file=sys.stderr)
    sys.exit(2)
PYTHON
)
name="$device-$(date +%Y-%m-%d)"
report="$out/$name"
cp -n bench/results/"$name".* "$out" 2> /dev/null || true
python3 -m tinyxp info || true
failed=0

asked() { [[ $stages == *" $1 "* ]]; }

# the seconds that are left: at most these, and at least one, because `timeout 0` never ends
within() {
    local left=$((due - SECONDS < $1 ? due - SECONDS : $1))
    echo $((left > 1 ? left : 1))
}

# `tests NAME SECONDS …`: writes pytest's report into a file and shows its failures
tests() {
    local file="$report.$1.txt"
    timeout -s INT -k 15 "$(within "$2")" python3 -m pytest -p no:cacheprovider -q --tb=short -rfE \
        "${workers[@]}" "${@:3}" > "$file" 2>&1 || failed=1
    grep -E "^(FAILED|ERROR)" "$file" | head -n 60 || true
    tail -n 1 "$file"
}

workers=()
if python3 -c "import xdist" 2> /dev/null; then
    n=$(nproc)
    workers=(-n "$((n < 16 ? n : 16))" --dist worksteal)
fi

if asked probe; then
    timeout -k 5 "$(within 80)" python3 -m bench.gpu --part probe | tee "$report.probe.txt" ||
        echo "the probe did not finish"
    [ -s "$report.probe.txt" ] || rm "$report.probe.txt"
fi
if asked kernels; then tests kernels 220 tests/backends/test_cupy.py; fi
if asked parity; then
    tests parity 230 -k cupy tests --ignore tests/backends/test_cupy.py
    # a test that fails on NumPy too, as with another version of PyTorch, is not CuPy's fault
    rm -f "$report.twins.txt"
    sed -n 's/^FAILED \(.*\]\)\( - .*\)\?$/\1/p' "$report.parity.txt" |
        sed 's/\bcupy\b/numpy/' > "$extra/twins"
    if [ -s "$extra/twins" ]; then
        cut -d: -f1 "$extra/twins" | sort -u | xargs python3 -m pytest -p no:cacheprovider -q \
            --collect-only 2> /dev/null | grep -Fxf "$extra/twins" > "$extra/known" || true
    fi
    if [ -s "$extra/known" ]; then
        echo "the same on NumPy:"
        tests twins 60 "@$extra/known"
    fi
fi
if asked bench; then
    left=$(within 100000)
    timeout -k 5 "$left" python3 -m bench.gpu --seconds "$((left - 15))" --report "$report.md" \
        --probed "$report.probe.txt" || failed=1
fi
for part in kernels parity twins; do
    if [ -f "$report.$part.txt" ]; then
        found=$(grep -E "(passed|failed|skipped|error).* in " "$report.$part.txt" | tail -n 1 || true)
        echo "Tests, $part: ${found:-they did not finish}."
    fi
done > "$extra/tests"
cat "$extra/tests"
if asked bench; then (echo && cat "$extra/tests") >> "$report.md"; fi
exit "$failed"
