# shellcheck shell=bash
# Environment of every command of a recipe: sourced by run.sh, and again on each node of a cluster.
# Everything is exported here, because a job started elsewhere inherits nothing.

K2D_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
export K2D_ROOT

if [ ! -e "${K2D_ROOT}/tools/install.sh" ]; then
    echo "path.sh: ${K2D_ROOT} is not a checkout of K2D; a recipe runs in one, as egs/NAME/k2d1: copy this folder there" >&2
    return 1
fi
if [ ! -x "${K2D_ROOT}/tools/venv/bin/python" ]; then
    echo "path.sh: tools/venv is missing; run ${K2D_ROOT}/tools/install.sh first" >&2
    return 1
fi
export VIRTUAL_ENV="${K2D_ROOT}/tools/venv"
export PATH="${VIRTUAL_ENV}/bin:${K2D_ROOT}/utils:${PATH}"
export PYTHONPATH="${K2D_ROOT}${PYTHONPATH:+:${PYTHONPATH}}"
unset PYTHONHOME
# UTF-8 for Python wherever it runs, C order for sort: what the data contract asks for.
export PYTHONUTF8=1
export LC_ALL=C

# As many threads as cores, unless the caller or utils/run.py (--num_threads) says otherwise. Threads that
# wait without spinning leave the cores to the other jobs of a split.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"
export KMP_BLOCKTIME="${KMP_BLOCKTIME:-0}"
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
# CTranslate2 logs every model it loads, tokenizers warn after a fork: neither is news.
export CT2_VERBOSE="${CT2_VERBOSE:--1}"
export TOKENIZERS_PARALLELISM=false
# A drawing needs no screen.
export MPLBACKEND=Agg
