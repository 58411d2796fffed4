#!/usr/bin/env bash
# Sets up the environment and runs the tests:  bash tools/test.sh [pytest arguments]
# Without arguments: everything but what is marked gpu or slow, in two processes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

source tools/environment.sh dev

export HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
exec python -m pytest -n "${WORD2MASK_TEST_PROCESSES:-2}" --dist loadgroup "$@"
