#!/usr/bin/env bash
# From nothing to a small model that segments what it is asked for, on a machine without a GPU:
#
#     bash tools/quickstart.sh [--out work_dirs/quickstart] [--fresh]
#
# Environment, data, training, its language-blind twin, evaluation of both, export, answers, scores, HTML page.
# Every command is printed before it runs. A stage that has been done is not done again, and a training that was stopped goes on
# where it was; --fresh starts over.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# How the two trainings share the processors: "together" (one core each) or "in_turn" (all cores each).
twins=${WORD2MASK_TWINS:-together}
config=projects/llava_sam2/configs/sa2va_shapes.py
config_blind=projects/llava_sam2/configs/sa2va_shapes_blind.py

out=work_dirs/quickstart
fresh=0
while [ $# -gt 0 ]; do
    case $1 in
        --out) out=${2:?"--out needs a folder"} && shift 2 ;;
        --out=*) out=${1#--out=} && shift ;;
        --fresh) fresh=1 && shift ;;
        -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
        *) echo "quickstart: unknown argument $1; it takes --out DIR and --fresh" >&2 && exit 2 ;;
    esac
done
if [ -d "$out" ] && [ ! -d "$out/stages" ] && [ -n "$(ls -A "$out")" ]; then
    echo "quickstart: $out holds something else; give another folder with --out" >&2
    exit 2
fi
if [ $fresh = 1 ]; then rm -rf "$out"; fi
if ! mkdir -p "$out/stages" 2>/dev/null || [ ! -w "$out/stages" ]; then
    echo "quickstart: can't write $out; give another folder with --out" >&2
    exit 2
fi

echo "== environment"
source tools/environment.sh
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

# stage NAME COMMAND…: prints and runs a command, and remembers its time and memory under $out/stages.
stage() {
    local name=$1 code=0
    shift
    printf '\n== %s\n+ %s\n' "$name" "$*"
    python tools/measure.py --once "$out/stages/$name.json" -- "$@" </dev/null || code=$?
    if [ $code != 0 ]; then
        echo "quickstart: the stage '$name' ended with code $code. Put right what it says above and run the same command again:" \
            "what is done stays done, and a training goes on from its last checkpoint." >&2
        exit "$code"
    fi
}

train() { # NAME CONFIG
    stage "$1" bash tools/dist.sh train "$2" 1 --work-dir "$out/$1" --resume auto
}

checkpoint() { # WORK_DIR
    echo "$1/$(basename "$(cat "$1/last_checkpoint")")"
}

evaluate() { # NAME CONFIG WORK_DIR
    stage "$1" bash tools/dist.sh test "$2" 1 --checkpoint "$(checkpoint "$3")" --out "$out/$1"
}

# Questions of the generated data that training has not seen: "PATH<tab>WORDS", for a picture and for a video.
questions() {
    python - <<'PYTHON'
import json
from pathlib import Path

pictures = Path("data/shapes_world/ref_seg/ReasonSeg/val")
answer = sorted(pictures.glob("*.json"))[0]
print(answer.with_suffix(".jpg"), json.loads(answer.read_text())["text"][0], sep="\t")
videos = Path("data/shapes_world/video_seg/mevis/valid_u")
name, video = sorted(json.loads((videos / "meta_expressions.json").read_text())["videos"].items())[0]
print(videos / "JPEGImages" / name, f"Please segment {sorted(video['expressions'].items())[0][1]['exp']} in this video.", sep="\t")
PYTHON
}

twin() {
    train train_blind $config_blind
    evaluate evaluation_blind $config_blind "$out/train_blind"
}

stage data python tools/make_shapes_world.py

if [ "$twins" = together ]; then
    export OMP_NUM_THREADS=1
    set -m # a process group of its own, so that all of it can be stopped
    twin >"$out/blind.log" 2>&1 </dev/null &
    blind=$!
    set +m
    trap 'kill -- -$blind 2>/dev/null || true' EXIT
    echo "the language-blind twin trains beside it; its log is $out/blind.log"
    train train $config
    evaluate evaluation $config "$out/train"
    if ! wait $blind; then
        tail -n 20 "$out/blind.log" >&2
        exit 1
    fi
    trap - EXIT
    unset OMP_NUM_THREADS
else
    train train $config
    evaluate evaluation $config "$out/train"
    twin
fi

stage export python projects/llava_sam2/hf/convert_to_hf.py $config --pth-model "$(checkpoint "$out/train")" --save-path "$out/hf" --overwrite

asked=$(questions)
number=0
while IFS=$'\t' read -r media words; do
    number=$((number + 1))
    stage "answer_$number" python tools/infer.py "$out/hf" "$media" "$words" --out "$out/answer_$number" --overwrite
done <<<"$asked"

stage page python tools/report.py "$out/evaluation" "$out/evaluation_blind" \
    --labels word2mask "language-blind twin" \
    --note "The twin has seen the same pictures and masks in training, with the questions of other records: what it reaches, one reaches without reading." \
    --out "$out/report.html"

printf '\n== scores\n+ python benchmarks/quickstart.py %s\n' "$out"
python benchmarks/quickstart.py "$out"
echo "Questions, answers and masks: $out/report.html"
echo "The model: $out/hf; ask it with  python tools/infer.py $out/hf MEDIA \"text\" --out DIR  (after: source tools/environment.sh)"
