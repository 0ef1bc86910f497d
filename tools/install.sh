#!/usr/bin/env bash
# Make tools/venv with everything the recipes need, at the versions of tools/constraints.txt.
#
#   tools/install.sh           install, or do nothing when up to date
#   tools/install.sh --cpu     with torch for CPUs alone, a third of the disk, if it can be had (chosen by itself where
#                              no GPU is seen; --gpu takes the one with CUDA)
#   tools/install.sh --extra NAME   an extra of setup.py that is not among these, such as docs or natural, besides
#   tools/install.sh --measure measure again what this processor computes faster in bfloat16; labels and students that
#                              were made otherwise are made anew
#   tools/install.sh --check   say what is installed, whether a GPU is seen, and import what each stage needs
#
# In:  setup.py (what is needed), tools/constraints.txt (which version), a Python 3.12 or 3.13.
# Out: tools/venv, tools/.stamp (hash of the inputs). Nothing asks for root.
# Variables: K2D_PYTHON names the Python to use; uv's and pip's own (UV_INDEX_URL …) choose the index.
set -euo pipefail

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(dirname "$tools")
venv=$tools/venv
stamp=$tools/.stamp
extras=train,decode,publish,recipes,test
uv_version=0.13.9
needed_gb=8     # 6.5 GB of packages (CUDA libraries are most of it) and room to unpack
needed_gb_cpu=3 # without CUDA
not_compiled='site-packages/(.*/tests/|torch/(_inductor|testing)/|(espnet3|fontTools|hydra|narwhals|networkx|onnxruntime|pandas|pygments/lexers|sklearn|sympy/physics)/|transformers/models/(?!(auto|encoder_decoder|wav2vec2|whisper)/|__init__))'
build=          # cpu, cuda, or empty: what fits this machine

log() { printf '%s install: %s\n' "$(date +%H:%M:%S)" "$*"; }
die() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

inputs_hash() {
    cat "$tools/constraints.txt" "$root/setup.py" "$tools/install.sh" | sha256sum | cut -d ' ' -f 1
}

# Prints the path of a Python that can carry the environment, or nothing.
find_python() {
    local candidate
    local -a candidates=()
    if [ -n "${K2D_PYTHON:-}" ]; then
        candidates+=("$K2D_PYTHON")
    fi
    # pyenv leaves commands on the path that only fail when their version is not the chosen one, so its
    # versions are looked up in its folder too, and whatever is found has to run.
    candidates+=(python3.12 python3.13 python3 python
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python)
    if uv --version >/dev/null 2>&1; then
        candidates+=("$(uv python find --no-python-downloads '>=3.12,<3.14' 2>/dev/null || true)")
    fi
    for candidate in "${candidates[@]}"; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import ssl, sys; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 13))' \
                >/dev/null 2>&1; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

# Runs a command with its output kept and shown, but for the list of packages; on failure says what it means.
with_reasons() {
    local what=$1 output=$tools/.install.log
    shift
    if "$@" 2>&1 | tee "$output" | sed -u '/^ [-+~] /d'; then
        rm -f "$output"
        return
    fi
    if grep -qiE 'no space left|disk quota' "$output"; then
        die "the disk is full: free $needed_gb GB under $tools (or set UV_CACHE_DIR to a larger disk)" \
            "and run again."
    fi
    if grep -qiE 'dns|connect|network|timed? ?out|resolve host|proxy|from versions: none|failed to (fetch|download)|sending request' \
        "$output"; then
        die "no network: the package index cannot be reached; connect, or name a mirror in UV_DEFAULT_INDEX" \
            "and a proxy in HTTPS_PROXY, and run again."
    fi
    die "$what failed with the message above (kept in $output)."
}

# Sets uv to a program that runs; a copy of it is brought by the Python given where none is on the path.
find_uv() {
    local python=$1
    uv=uv
    if ! uv --version >/dev/null 2>&1; then
        uv=$tools/venv-bootstrap/bin/uv
        if ! "$uv" --version >/dev/null 2>&1; then
            log "uv is not on the path: a copy goes to tools/venv-bootstrap"
            "$python" -m venv --clear "$tools/venv-bootstrap" ||
                die "this Python cannot make environments (Debian: the package python3-venv);" \
                    "install uv (https://docs.astral.sh/uv) or name another Python in K2D_PYTHON, and run again."
            with_reasons "installing uv" \
                "$tools/venv-bootstrap/bin/python" -m pip install --quiet "uv==$uv_version"
        fi
    fi
}

there() {
    [ -x "$venv/bin/python" ] || die "tools/venv is missing: run tools/install.sh first."
}

installed_build() {
    compgen -G "$venv/lib/python3*/site-packages/torch-*+cpu.dist-info" >/dev/null && echo cpu || echo cuda
}

# Whether torch is to be the one with CUDA, as far as was said or can be seen.
wants_cuda() {
    [ "$build" = cuda ] || { [ -z "$build" ] && nvidia-smi --list-gpus 2>/dev/null | grep -q GPU; }
}

# Prints what uv has to be told to take torch for CPUs alone, or nothing where it is not wanted or cannot be had: from
# the package index in use, which may be a mirror that has it, or from PyTorch's own, since PyPI does not.
cpu_torch() {
    local uv=$1 python=$2 package
    local -a wanted=()
    ! wants_cuda || return 0
    for package in torch torchaudio; do
        wanted+=("$(grep "^$package==" "$tools/constraints.txt")+cpu")
    done
    if "$uv" pip install --quiet --dry-run --no-deps --python "$python" "${wanted[@]}" >/dev/null 2>&1; then
        printf '%s\n' "${wanted[@]}"
    elif UV_HTTP_RETRIES=1 "$uv" pip install --quiet --dry-run --no-deps --python "$python" --torch-backend cpu \
        "${wanted[@]}" >/dev/null 2>&1; then
        printf '%s\n' --torch-backend=cpu "${wanted[@]}"
    else
        log "no torch for CPUs alone: the package index in use does not have it, and https://download.pytorch.org cannot" \
            "be reached. The usual torch is installed; it brings 4 GB of CUDA libraries, which a CPU does not use." \
            "A mirror that has ${wanted[*]} can be named in UV_INDEX." >&2
    fi
}

check_disk() {
    local free_kb need_gb=$1 less=
    if compgen -G "$venv/lib/python3*/site-packages/torch" >/dev/null; then
        need_gb=1 # an update replaces packages one by one
    fi
    free_kb=$(df -Pk "$tools" | awk 'NR == 2 { print $4 }')
    if [ "$free_kb" -lt $((need_gb * 1000 * 1000)) ]; then
        ! wants_cuda || less="; where no GPU is used, try --cpu, which needs $needed_gb_cpu GB"
        die "disk too small: $((free_kb / 1000000)) GB are free under $tools and $need_gb GB are needed;" \
            "free some, or clone to a larger disk$less."
    fi
}

install() {
    local hash python uv packages torch
    hash=$(inputs_hash)
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ] &&
        { [ -z "$build" ] || [ "$build" = "$(installed_build)" ]; }; then
        log "tools/venv is up to date"
        return
    fi
    check_disk "$(wants_cuda && echo "$needed_gb" || echo "$needed_gb_cpu")"
    rm -f "$stamp"

    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c '' 2>/dev/null; then
        python=$venv/bin/python
    else
        python=$(find_python)
        if [ -z "$python" ]; then
            die "no Python 3.12 or 3.13 found (on the path, under pyenv, through uv): install one without" \
                "root by 'uv python install 3.12' or 'pyenv install 3.12', or name one in K2D_PYTHON," \
                "and run again."
        fi
    fi
    log "Python: $python ($("$python" -V))"

    find_uv "$python"

    if [ "$python" != "$venv/bin/python" ]; then
        "$uv" venv --quiet --clear --python "$python" "$venv"
    fi
    torch=$(cpu_torch "$uv" "$venv/bin/python")
    if [ -n "$torch" ]; then
        log "packages, with torch for CPUs alone (about $needed_gb_cpu GB when none of them is cached)"
    else
        check_disk "$needed_gb"
        log "packages (about $needed_gb GB when none of them is cached; 4 of these are CUDA, which comes with torch)"
    fi
    # Source packages are built with the pinned setuptools, since openai-whisper's build needs pkg_resources.
    with_reasons "installing the packages" \
        env UV_BUILD_CONSTRAINT="$tools/constraints.txt" "$uv" pip install --python "$venv/bin/python" \
        --constraint "$tools/constraints.txt" ${torch:+$torch} --editable "${root}[$extras]"
    # Importing ESPnet takes 12 s with compiled bytecode and 25 s without, in every process that trains: compile it
    # now, whatever the environment says about writing bytecode. Half of all is tests of packages, models of transformers
    # and whole packages that nothing here imports. Templates and code for other versions do not compile.
    log "compiling bytecode"
    packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -m compileall -q -j 0 -x "$not_compiled" "$packages" \
        >/dev/null || true
    # Once: what labels were made of must not change with a measurement.
    if [ ! -f "$venv/k2d-processor.json" ]; then
        log "measuring this processor"
        "$venv/bin/python" -m k2d.whisper.processor
    fi
    printf '%s\n' "$hash" >"$stamp"
    log "done: $(du -sh "$venv" | cut -f 1) in tools/venv; 'tools/install.sh --check' says what is there"
}

# What one recipe, or the site of docs/, needs and nothing else does.
install_extra() {
    local uv
    install
    find_uv "$venv/bin/python"
    with_reasons "installing the extra $1" \
        "$uv" pip install --python "$venv/bin/python" --constraint "$tools/constraints.txt" \
        --requirements "$root/setup.py" --extra "$1"
}

case "${1:-}" in
    '') install ;;
    --cpu) build=cpu && install ;;
    --gpu) build=cuda && install ;;
    --extra) install_extra "${2:?--extra needs a name, such as natural}" ;;
    --measure)
        there
        "$venv/bin/python" -m k2d.whisper.processor
        ;;
    --check)
        there
        if [ "$(cat "$stamp" 2>/dev/null)" != "$(inputs_hash)" ]; then
            log "tools/venv is older than its pins: run tools/install.sh"
        fi
        "$venv/bin/python" "$tools/check_install.py"
        ;;
    --help | -h) sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
    *) die "unknown argument '$1': run it without one to install, with --cpu, --gpu, --extra NAME, --measure or --check." ;;
esac
