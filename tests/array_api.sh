#!/usr/bin/env bash
# The standard's own test suite, data-apis/array-api-tests, against tinyxp.
#
#     tests/array_api.sh PATH [BACKEND…] [-- PYTEST OPTIONS]
#
# PATH: a clone of the suite, with its submodule (none of it is ours, nor on PyPI):
#
#     git clone --recurse-submodules https://github.com/data-apis/array-api-tests PATH
#
# BACKEND: numpy, torch, strict, cupy, or one of them with recording on: numpy+recording. Without any,
# all run, and the table in docs/array_api.md is written anew. PYTHON names another Python, EXAMPLES
# another number of examples a test than 50. Exit code 1 if a test fails on NumPy, or with
# recording on for no cause that tests/ops/array_api/causes.toml knows.
set -euo pipefail
fail() { echo "array_api.sh: $1" >&2; exit 2; }

[ $# -gt 0 ] || fail "the path of a clone of array-api-tests is missing; see the head of this file"
suite=$1
shift
[ -f "$suite/array_api_tests/stubs.py" ] || fail "no array-api-tests in $suite; to have it:
    git clone --recurse-submodules https://github.com/data-apis/array-api-tests $suite"
[ -d "$suite/array-api/src/array_api_stubs/_2025_12" ] || fail "no array-api in $suite/array-api; to have it:
    git -C $suite submodule update --init"

names=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do names+=("$1"); shift; done
[ "${1:-}" != -- ] || shift
page=()
if [ ${#names[@]} = 0 ]; then
    names=(numpy numpy+recording torch strict cupy)
    [ $# -gt 0 ] || page=(--page)
fi

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
examples=${EXAMPLES:-50}
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" ARRAY_API_TESTS_VERSION=2025.12
"$python" -c 'import hypothesis, ndindex, pytest_jsonreport' || fail "the suite needs more; to have it:
    $python -m pip install -r $suite/requirements.txt pytest-xdist"
parallel=()
if "$python" -c 'import xdist' 2> /dev/null; then parallel=(-n auto --dist worksteal); fi

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
for name in "${names[@]}"; do
    backend=${name%+recording}
    if ! reason=$("$python" -c "
from tinyxp import backends, errors
try:
    backends.get('$backend')
except errors.BackendError as error:
    raise SystemExit(str(error))" 2>&1); then
        echo "$name: not run: $reason"
        echo "$reason" > "$results/$name.missing"
        continue
    fi
    module=tinyxp
    [ "$name" = "$backend" ] || module=tests.ops.array_api.recording
    echo "$name: $examples examples a test"
    (cd "$suite" && TINY_BACKEND=$backend ARRAY_API_TESTS_MODULE=$module \
        "$python" -m pytest array_api_tests --max-examples "$examples" --disable-deadline --quiet \
        -p no:cacheprovider --tb=no --junitxml="$results/$name.xml" \
        ${parallel[@]+"${parallel[@]}"} "$@") | tail -n 1 || true
    [ -f "$results/$name.xml" ] || fail "the suite did not run on $name; try it without xdist"
done
"$python" "$root/tests/ops/array_api/table.py" "$results" --examples "$examples" ${page[@]+"${page[@]}"}
