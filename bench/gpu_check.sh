#!/usr/bin/env bash
# On a machine with a GPU, CuPy and PyTorch, and no network: a probe of what was only read so far, the
# tests on CuPy, then training steps beside PyTorch on that GPU. It ends within 10 minutes, whatever
# was left out by then; each part has a process and a limit of its own.
#
# What takes longer is a call of its own: python3 -m bench.gpu --char-run --text FILE
#
#     bench/gpu_check.sh [WHEELS]     WHEELS: a folder with wheels of what the machine lacks
#                                     (array-api-compat, hypothesis, array-api-strict, pytest …)
#
# Writes <device>-<date>.md, .json and .svg into $OUT, or into bench/results. Ends with 1 if a test
# failed, and with 2 and one line if there is no GPU.
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
from tinyxp.backends import cuda_setup
try:
    print(tx.cuda.get_device_name().replace(" ", "-"))
except tx.errors.BackendError as error:
    print("gpu_check:", *(cuda_setup.advice(cuda_setup.look()) or [error]), file=sys.stderr)
    sys.exit(2)
PYTHON
)
report="$out/$device-$(date +%Y-%m-%d)"
python3 -m tinyxp info

timeout 60 python3 -m bench.gpu --part probe --report "$report.probe.json" ||
    echo "probe: it did not come to its end"

options=(-p no:cacheprovider -q --tb=short)
if python3 -c "import xdist" 2> /dev/null; then options+=(-n 8); fi
failed=0
timeout 110 python3 -m pytest "${options[@]}" tests/test_cupy.py > "$report.kernels.txt" 2>&1 || failed=1
tail -n 40 "$report.kernels.txt"
timeout 120 python3 -m pytest "${options[@]}" -k cupy tests --ignore tests/test_cupy.py \
    > "$report.parity.txt" 2>&1 || failed=1
tail -n 40 "$report.parity.txt"

timeout 275 python3 -m bench.gpu --seconds 260 --report "$report.md" \
    --probed "$report.probe.json" || failed=1
for part in kernels parity; do
    echo "Tests, $part: $(tail -n 1 "$report.$part.txt")" | tee -a "$report.md"
done
exit "$failed"
