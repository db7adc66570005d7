#!/bin/sh
# test.sh PYTHON CELL_TIMEOUT [ARGS…]: every test. ARGS go to the pytest of tests/.
#
# The notebooks are run beside the other tests, which often wait for a Ray or a browser, and with less priority, for those
# look at a clock. Each cell's output is compared with the saved one; the plugin refuses what nbval would let pass.
set -u
python=$1 cell_timeout=$2
shift 2
mkdir -p test-results
log=test-results/notebooks.log

TQDM_DISABLE=1 nice -n 10 "$python" -m pytest -p tests.project.strict_nbval --nbval \
    --nbval-cell-timeout="$cell_timeout" --timeout=1200 -p no:cacheprovider \
    notebooks/index.ipynb notebooks/lectures >"$log" 2>&1 &
notebooks=$!
trap 'kill "$notebooks" 2>/dev/null; exit 130' INT TERM

"$python" -m pytest "$@"
tests=$?
wait "$notebooks"
cells=$?
echo "The notebooks, compared cell by cell ($log):"
cat "$log"
[ "$tests" = 0 ] && [ "$cells" = 0 ]
