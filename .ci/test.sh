#!/bin/sh
# test.sh PYTHON CELL_TIMEOUT [ARGS…]: every test; or pytest with these arguments, and the notebooks.
#
# Two lanes run beside each other, and take about as long. The first has the tests with a Ray, which wait most of the
# time, and those in a browser, which wait for what a page shows. The second, with less priority, has what looks at no
# clock: the notebooks, whose cells' outputs are compared with the saved ones (the plugin refuses what nbval would let
# pass), the simulator's tests, the grading of exercises; and the Binder session, which installs all anew.
set -u
# Each process of each machine would compile anew what it imports, if it may not keep it.
unset PYTHONDONTWRITEBYTECODE
python=$1 cell_timeout=$2
shift 2
log=test-results/second-lane.log
mkdir -p test-results

notebooks() {
    TQDM_DISABLE=1 "$python" -m pytest -p tests.project.strict_nbval --nbval --nbval-cell-timeout="$cell_timeout" \
        --timeout=1200 -p no:cacheprovider notebooks/index.ipynb notebooks/lectures notebooks/exercises
}

if [ $# -gt 0 ]; then
    "$python" -m pytest "$@" && notebooks
    exit
fi

# While the first tests run: those that need node come late in both lanes.
sh .ci/node.sh >test-results/node.log 2>&1 &

(
    renice -n 10 "$(sh -c 'echo $PPID')" >/dev/null 2>&1
    status=0
    notebooks || status=1
    "$python" -m pytest --durations=20 -p no:cacheprovider -m "not ray and not browser" --ignore=tests/test_binder.py || status=1
    "$python" -m pytest -p no:cacheprovider tests/test_binder.py || status=1
    exit $status
) >"$log" 2>&1 &
lane=$!
trap 'kill "$lane" 2>/dev/null; exit 130' INT TERM

"$python" -m pytest --durations=20 -m ray --ignore=tests/test_binder.py --ignore=tests/browser
first=$?
"$python" -m pytest --durations=10 tests/browser || first=1
wait "$lane"
other=$?
echo "The second lane ($log):"
cat "$log"
[ "$first" = 0 ] && [ "$other" = 0 ]
