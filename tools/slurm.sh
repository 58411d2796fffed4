#!/usr/bin/env bash
# Train or evaluate on a SLURM cluster.
#
#   bash tools/slurm.sh [options] train CONFIG [arguments of tools/train.py]
#   bash tools/slurm.sh [options] test  CONFIG [arguments of tools/test.py]
#
#   -N, --nodes N            machines                     (environment: NODES, default 1)
#   -G, --gpus-per-node N    processes on each, one a GPU (GPUS_PER_NODE, default 8)
#   -p, --partition NAME                                  (PARTITION)
#   -J, --job-name NAME      default: the config's name   (JOB_NAME)
#   -t, --time LIMIT         as sbatch takes it           (TIME_LIMIT)
#       --sbatch "OPTIONS"   anything else for sbatch     (SBATCH_OPTIONS)
#   -h, --help
#
# Submits itself with sbatch; in the job, srun starts tools/dist.sh once a machine, and torchrun the processes there.
# Five minutes before its time is up the job gets SIGTERM, which makes a training save. With --resume auto among the
# arguments, a job that is submitted again, or requeued, goes on from there. Submit from where relative paths start.
set -euo pipefail

if [[ -n ${WORD2MASK_SLURM_ROOT:-} && -n ${SLURM_JOB_ID:-} ]]; then
    # In the job. sbatch has copied this file elsewhere, so the repository's place came along in a variable.
    export NNODES=$SLURM_JOB_NUM_NODES
    # All of them first: scontrol would be killed by a closed pipe, and the job with it, if only its first line were read.
    hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
    export MASTER_ADDR=${hosts%%$'\n'*}
    export MASTER_PORT=${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 20000))}
    # shellcheck disable=SC2016  # SLURM_NODEID is the task's own
    exec srun --nodes "$NNODES" --ntasks-per-node 1 --kill-on-bad-exit=1 \
        bash -c 'NODE_RANK=$SLURM_NODEID exec bash "$0" "$@"' "$WORD2MASK_SLURM_ROOT/tools/dist.sh" "$@"
fi

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"
}

stop() {
    echo "tools/slurm.sh: $*; --help shows how to call it" >&2
    exit 2
}

nodes=${NODES:-1} gpus=${GPUS_PER_NODE:-8} partition=${PARTITION:-} name=${JOB_NAME:-} limit=${TIME_LIMIT:-}
more=${SBATCH_OPTIONS:-}
while [[ ${1:-} == -* ]]; do
    case $1 in
        -h | --help) usage && exit 0 ;;
        *) [[ $# -ge 2 ]] || stop "$1 needs a value" ;;&
        -N | --nodes) nodes=$2 ;;
        -G | --gpus-per-node) gpus=$2 ;;
        -p | --partition) partition=$2 ;;
        -J | --job-name) name=$2 ;;
        -t | --time) limit=$2 ;;
        --sbatch) more=$2 ;;
        *) stop "unknown option $1" ;;
    esac
    shift 2
done
[[ $# -ge 2 && ($1 == train || $1 == test) ]] || stop "expected train CONFIG or test CONFIG, got '$*'"
[[ $nodes =~ ^[1-9][0-9]*$ ]] || stop "--nodes is '$nodes', expected a number from 1 up"
[[ $gpus =~ ^[1-9][0-9]*$ ]] || stop "--gpus-per-node is '$gpus', expected a number from 1 up"
command -v sbatch >/dev/null || stop "there is no sbatch here; this machine is not of a SLURM cluster"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=$1 config=$2
shift 2
options=(--nodes "$nodes" --ntasks-per-node 1 --gres "gpu:$gpus" --job-name "${name:-$(basename "$config" .py)}")
[[ -z $partition ]] || options+=(--partition "$partition")
[[ -z $limit ]] || options+=(--time "$limit")
export WORD2MASK_SLURM_ROOT=$root
# shellcheck disable=SC2086  # SBATCH_OPTIONS holds several words
exec sbatch "${options[@]}" --signal TERM@300 --export ALL $more "$root/tools/slurm.sh" "$program" "$config" "$gpus" "$@"
