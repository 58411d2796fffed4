#!/usr/bin/env bash
# Train or evaluate with several processes.
#
#   tools/dist.sh train CONFIG PROCESSES [arguments of tools/train.py]
#   tools/dist.sh test  CONFIG PROCESSES [arguments of tools/test.py]
#
# PROCESSES is per machine. Several machines: run the same command on each with
#   NNODES (how many), NODE_RANK (0, 1, …), MASTER_ADDR (of machine 0) and MASTER_PORT (default 29500).
# --strategy ddp|zero1|zero2|zero2_offload|zero3|zero3_offload|fsdp says what processes that train split between them.
# PYTHON chooses the interpreter; OMP_NUM_THREADS defaults to the cores of this machine over PROCESSES.
set -euo pipefail

if [[ $# -lt 3 || ( $1 != train && $1 != test ) || ! $3 =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
program=$1 config=$2 processes=$3
shift 3

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python}
nodes=${NNODES:-1}
cores=$(nproc)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores / processes > 0 ? cores / processes : 1))}
export PYTHONPATH="$root/projects${PYTHONPATH:+:$PYTHONPATH}"

for argument in "$@"; do
    if [[ $program == train && $argument == --dry-run ]]; then
        # One process can plan for all.
        exec "$python" "$root/tools/train.py" "$config" --gpus $((nodes * processes)) "$@"
    fi
done
if [[ $nodes -eq 1 && $processes -eq 1 ]]; then
    exec "$python" "$root/tools/$program.py" "$config" "$@"
elif [[ $nodes -eq 1 ]]; then
    # --standalone meets on a free port of this machine, so that two runs never collide.
    rendezvous=(--standalone)
else
    if [[ -z ${NODE_RANK:-} || -z ${MASTER_ADDR:-} ]]; then
        echo "NNODES=$nodes needs NODE_RANK (this machine's number) and MASTER_ADDR (machine 0's address)" >&2
        exit 2
    fi
    rendezvous=(--nnodes "$nodes" --node-rank "$NODE_RANK" --master-addr "$MASTER_ADDR" --master-port "${MASTER_PORT:-29500}")
fi
exec "$python" -m word2mask.engine.launch "${rendezvous[@]}" --nproc-per-node "$processes" \
    "$root/tools/$program.py" "$config" "$@"
