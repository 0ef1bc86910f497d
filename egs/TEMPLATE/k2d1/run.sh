#!/usr/bin/env bash
# From a folder of recordings to your own student, without transcripts.
#   ./run.sh --recordings ~/lectures                  all stages; two students, on all labels and on the filtered ones
#   ./run.sh --recordings ~/lectures --dry_run        estimates time and disk, prints every command, runs nothing
#   ./run.sh --recordings ~/lectures --stop_stage 4   stops at the labels and their selection, for the explorer
# Output goes to data/, exp/ and RESULTS.md beside this file. For another corpus, copy the scripts first:
#   mkdir -p egs/mine/k2d1; cp egs/TEMPLATE/k2d1/*.sh egs/mine/k2d1/
# ./run.sh --help lists every option of k2d.sh.
set -euo pipefail
(cd "$(dirname "$0")/../../.." && [ -e utils/own_options.sh ]) ||
    { echo "run.sh: a recipe runs in a checkout of K2D, as egs/NAME/k2d1; copy this folder there" >&2 && exit 1; }
export K2D_COMMAND && K2D_COMMAND=$(printf '%s\n' "$0" "$@") # as typed, for RESULTS.md

# Paths are relative to the directory where the command is run.
# shellcheck source=utils/own_options.sh
source "$(dirname "$0")/../../../utils/own_options.sh"
places=(recordings labels teacher validator revise student_init train_config trial)
unset "${places[@]}"
own_options "${places[@]}" -- "$@"
# from_here NAME VALUE: the absolute path, behind a prefix such as text:. A model's name, which is no path here, stays.
from_here() {
    local kind='' path=$2
    [[ ! ${path} =~ ^(text|espnet|transformers): ]] || kind=${BASH_REMATCH[0]} path=${path#"${BASH_REMATCH[0]}"}
    if [ -e "${path}" ] && [[ $1 == recordings || -n ${kind} || ${path} == */* ]]; then
        # What is above a link is where it leads.
        [[ /${path}/ != */../* ]] || path=$(realpath "$(dirname "${path}")")/$(basename "${path}")
        path=$(realpath --no-symlinks "${path}") # a link may give a model its name
    fi
    printf '%s' "${kind}${path}"
}
for name in "${places[@]}"; do
    if [ -n "${!name+given}" ]; then
        words=("${!name}")
        case ${name} in validator | revise | train_config) read -rd '' -a words <<<"${!name}" || true ;; esac
        for i in "${!words[@]}"; do
            words[i]=$(from_here "${name}" "${words[i]}")
        done
        options+=("--${name}" "${words[*]}")
    fi
done
cd "$(dirname "$0")"

exec ./k2d.sh \
    --train_set recordings \
    --teacher large-v2 --validator base \
    --selection "full comp" --alpha 0.4 \
    --updates auto \
    --ngpu auto --joined false \
    -- "${options[@]}"
