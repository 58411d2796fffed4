# Sets up the virtual environment of word2mask and activates it. For bash, to be sourced:
#
#     source tools/environment.sh [dev] [apps] [train] …      # names of extras of setup.py
#
# A second call with the same requirements returns at once. What can be said from outside:
#   WORD2MASK_VENV         where the environment lies (default: .venv in the repository)
#   WORD2MASK_PYTHON       the Python to make it with (default: the first of 3.11, 3.12, 3.13 that is found)
#   WORD2MASK_TORCH_INDEX  a package index that has torch for this machine, where the usual ones don't

word2mask_stop() {
    echo "word2mask: $*" >&2
    exit 2
}

# Prints the command of a Python that is 3.11-3.13 and can make virtual environments.
word2mask_python() {
    local candidate found=""
    for candidate in ${WORD2MASK_PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue
        found=$candidate
        "$candidate" -c 'import ensurepip, venv' 2>/dev/null || continue
        echo "$candidate"
        return 0
    done
    if [ -n "$found" ]; then
        word2mask_stop "$found can't make virtual environments; install its venv module (Debian, Ubuntu: apt install python3-venv)"
    fi
    word2mask_stop "no Python 3.11, 3.12 or 3.13 found${WORD2MASK_PYTHON:+ as $WORD2MASK_PYTHON};" \
        "install one, or set WORD2MASK_PYTHON to its path"
}

# "cuda" where an NVIDIA driver answers, else "cpu".
word2mask_device() {
    if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then echo cuda; else echo cpu; fi
}

# pip install "$@": on a terminal shows what it is at, keeps all it says in a log, and shows the log's end where it fails.
word2mask_pip() {
    local log=$VIRTUAL_ENV/pip.log
    echo "+ pip install $*"
    python -m pip install --progress-bar off "$@" 2>&1 | tee "$log" | sed -un 's/^ *Collecting \([^ ]*\).*/\1/p' |
        while read -r package; do if [ -t 1 ]; then printf "\r  %-60s\r" "$package"; fi; done
    if [ "${PIPESTATUS[0]}" != 0 ]; then
        grep -v '^WARNING: Location' "$log" | tail -n 15 >&2
        return 1
    fi
}

# Fails where the installed torch asks for CUDA packages.
word2mask_torch_is_cpu() {
    python -c '
import importlib.metadata as metadata, re, sys
wanted = [line for line in metadata.requires("torch") or [] if re.match(r"(nvidia|cuda|triton)", line)]
sys.exit(bool(wanted) and sys.platform == "linux")' 2>/dev/null
}

# Installs the CPU build of torch and nothing else; its own dependencies come with requirements.txt.
word2mask_install_cpu_torch() {
    local pin version
    pin=$(sed -n 's/^\(torch==[^ #]*\).*/\1/p' requirements.txt)
    version=${pin#torch==}
    if [ -n "${WORD2MASK_TORCH_INDEX:-}" ]; then
        word2mask_pip --no-deps --index-url "$WORD2MASK_TORCH_INDEX" "$pin" ||
            word2mask_stop "the index that WORD2MASK_TORCH_INDEX names has no $pin for this Python and machine"
    elif [ "$(uname -s)" != Linux ]; then
        word2mask_pip --no-deps "$pin" || word2mask_stop "pip can't install $pin"
    else
        if ! word2mask_pip --no-deps "torch==$version+cpu" 2>/dev/null; then
            echo "pip's indexes have no CPU build of torch; uv knows where it lies"
            echo "+ uv pip install --no-deps --torch-backend=cpu $pin"
            if ! { word2mask_pip uv==0.13.9 && python -m uv pip install --no-deps --torch-backend=cpu "$pin"; }; then
                word2mask_stop "found no CPU build of $pin for $(python --version)." \
                    "Set WORD2MASK_TORCH_INDEX to the address of a package index that has one and run this again" \
                    "(torch's installation page names the index of CPU builds)"
            fi
        fi
    fi
    word2mask_torch_is_cpu ||
        word2mask_stop "the torch that was installed wants CUDA packages, and this machine has no NVIDIA GPU;" \
            "set WORD2MASK_TORCH_INDEX to an index of CPU builds and run this again"
}

# Imports what most often fails to load, so that a broken installation speaks now and not in the middle of a training.
word2mask_check() {
    python - "$1" <<'PYTHON' || word2mask_stop "the installation above is not usable; put right what it says and run this again"
import importlib, importlib.metadata, sys

device = sys.argv[1]
advice = {"cv2": "OpenCV needs the system's libGL and glib (Debian, Ubuntu: apt install libgl1 libglib2.0-0)"}
for name in ("torch", "cv2", "decord", "pycocotools.mask", "mmengine", "peft", "word2mask"):
    try:
        importlib.import_module(name)
    except (ImportError, OSError) as error:
        sys.exit(f"word2mask: can't import {name}: {error}. {advice.get(name, '')}")
names = {distribution.metadata["Name"].lower() for distribution in importlib.metadata.distributions()}
cuda = sorted(name for name in names if name.startswith("nvidia-"))
if device == "cpu" and cuda:
    sys.exit(f"word2mask: CUDA packages on a machine without an NVIDIA GPU: {', '.join(cuda)}")
if device == "cuda":
    import torch

    if torch.version.cuda is None:
        sys.exit("word2mask: this machine has an NVIDIA GPU, but the torch that was installed is a CPU build")
PYTHON
}

word2mask_environment() {
    local root venv device hash python stamps extra wanted=0 new=0 started=$SECONDS
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    cd "$root" || word2mask_stop "can't enter $root"
    venv=${WORD2MASK_VENV:-$root/.venv}
    case $venv in /*) ;; *) venv=$root/$venv ;; esac
    device=$(word2mask_device)
    hash=$({ cat requirements.txt setup.py tools/environment.sh; echo "$device $root $venv ${WORD2MASK_TORCH_INDEX:-}"; } | cksum)
    stamps=$venv/word2mask-installed

    for extra in base "$@"; do
        [ "$(cat "$stamps/$extra" 2>/dev/null)" = "$hash" ] || wanted=1
    done
    if [ $wanted = 0 ]; then
        # shellcheck disable=SC1091
        source "$venv/bin/activate"
        return 0
    fi

    # An environment for the other kind of device can't be changed in place: pip takes both builds of torch for the same.
    if [ -f "$stamps/device" ] && [ "$(cat "$stamps/device")" != "$device" ]; then
        echo "the environment in $venv was made for $(cat "$stamps/device"); making it anew for $device"
        rm -rf "$venv"
    fi
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(word2mask_python) || exit 2
        echo "+ $python -m venv $venv     ($("$python" --version))"
        new=1
        "$python" -m venv "$venv" || word2mask_stop "can't make a virtual environment in $venv"
    fi
    # shellcheck disable=SC1091
    source "$venv/bin/activate"
    mkdir -p "$stamps" && echo "$device" >"$stamps/device" || word2mask_stop "can't write $stamps"

    export PIP_DISABLE_PIP_VERSION_CHECK=1
    if [ "$device" = cpu ] && ! { python -c 'import torch' 2>/dev/null && word2mask_torch_is_cpu; }; then
        word2mask_install_cpu_torch
    fi
    echo "installing 1.6 GB of packages, a minute or two with a good connection"
    word2mask_pip -r requirements.txt || word2mask_stop "pip can't install requirements.txt; its message stands above"
    extra=$(IFS=,; echo "$*")
    word2mask_pip --no-build-isolation -e ".${extra:+[$extra]}" ||
        word2mask_stop "pip can't install word2mask${extra:+[$extra]}; its message stands above"
    word2mask_check "$device"
    for extra in base "$@"; do
        echo "$hash" >"$stamps/$extra"
    done
    if [ $new = 1 ]; then echo "$((SECONDS - started))" >"$stamps/seconds"; fi
    echo "environment ready in $venv ($device, $((SECONDS - started)) s)"
}

word2mask_environment "$@"
