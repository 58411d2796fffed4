#!/usr/bin/env bash
# Train or evaluate on a SLURM cluster: one task a machine, which starts tools/dist.sh there.
#
#   sbatch --nodes 2 --gres gpu:8 --ntasks-per-node 1 tools/slurm.sh train CONFIG 8 [arguments]
#
# Submit from the repository's root. Give --resume auto to let a requeued job go on where it was stopped.
set -euo pipefail

if [[ -z ${SLURM_JOB_ID:-} ]]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
# sbatch copies this file elsewhere, so the repository is where it was submitted from.
root=$SLURM_SUBMIT_DIR
export NNODES=$SLURM_JOB_NUM_NODES
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR
export MASTER_PORT=${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 20000))}
# shellcheck disable=SC2016  # SLURM_NODEID is the task's own
exec srun --ntasks-per-node 1 --kill-on-bad-exit=1 \
    bash -c 'NODE_RANK=$SLURM_NODEID exec bash "$0" "$@"' "$root/tools/dist.sh" "$@"
