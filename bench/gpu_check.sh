#!/usr/bin/env bash
# On a machine with a GPU, CuPy and PyTorch, and no network: the tests on CuPy, then training steps
# beside PyTorch on that GPU.
#
#     bench/gpu_check.sh [WHEELS]     WHEELS: a folder with wheels of what the machine lacks
#                                     (array-api-compat, hypothesis, array-api-strict, pytest …)
#
# Writes <device>-<date>.md and .json into $OUT, or into bench/results.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-bench/results}
mkdir -p "$out"

extra=$(mktemp -d)
trap 'rm -rf "$extra"' EXIT
if [ -n "${1:-}" ]; then
    python3 -m pip install --quiet --no-index --no-deps --target "$extra" "$1"/*.whl
fi
export PYTHONPATH="$PWD:$extra${PYTHONPATH:+:$PYTHONPATH}"

device=$(python3 - <<'PYTHON'
import sys
import tinyxp as tx
from tinyxp import backends
try:
    backends.get("cupy")
except tx.errors.BackendError as error:
    sys.exit(f"gpu_check: {error}")
import cupy
print(cupy.cuda.runtime.getDeviceProperties(0)["name"].decode().replace(" ", "-"))
PYTHON
)
report="$out/$device-$(date +%Y-%m-%d)"

python3 -m pytest -p no:cacheprovider -q -k cupy tests | tee "$report.tests.txt" | tail -n 15 || failed=1
python3 -m bench --workload W1,W2 --backends numpy,cupy --peers torch --device cuda \
    --report "$report.md"
{ echo; echo "Tests on CuPy: $(tail -n 1 "$report.tests.txt")"; } >> "$report.md"
rm "$report.tests.txt"
cat "$report.md"
exit "${failed:-0}"
