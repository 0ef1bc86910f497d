# shellcheck shell=bash disable=SC2034,SC2154,SC2016,SC2317 # replaces functions and arrays of k2d.sh, and reads its options
# A dry run: sourced by k2d.sh for `--dry_run true` after its functions, some of which it replaces.
# Every command of every stage is printed as it would run; before a stage stands what it will take.
#
# In:  k2d.sh's options and functions. Out: nothing is run and nothing is written.

# show WORD…: the words as one would type them. Arrays of cmd.sh are left out: they say where a command runs.
show() {
    local word line=
    for word in "$@"; do
        [ "${word}" != show_python ] || word=${dry_python}
        [ "${word}" = '>' ] || [[ ${word} =~ ^[][[:alnum:]_./:,=@%+{}-]+$ ]] || word=${word@Q}
        line+=" ${word}"
    done
    printf '   %s%s\n' "${line}" "${behind:-}"
}

# Back ends take options and a log before the command: only the command is shown, and how often it runs.
show_job() {
    local behind=
    while [[ $1 == --* || $1 == *=* ]]; do
        [[ $1 != JOB=* ]] || behind="   # for JOB in ${1#JOB=}, side by side"
        if [[ $1 == *=* ]]; then shift; else shift 2; fi
    done
    shift
    show "$@"
}

dry_python=${python}
python=show_python
show_python() { show "${dry_python}" "$@"; }
cpu_cmd=(show_job)
decode_cmd=(show_job)
train_cmd=(show_job)
validate_data.py() { show validate_data.py "$@"; }
prepare_data() { show local/data.sh "$@"; }
frames_shape() { show awk '{ printf "%s %d\n", $1, $2 * 50 }' "$1" '>' "$2"; }
local_score() { show local/score.sh "$@"; }
show_table() { show cat "$1"; }
side_by_side=1
needs() { :; }
finished() { :; }
rm() { :; }

# What stages take, by number.
declare -A takes
estimate_opts=(--train_hours "${train_hours}" --dev_hours "${dev_hours}" --test_hours "${test_hours}"
    --teacher "${teacher}" --validator "${validator}" --selection "${selection}" --train_config "${train_config}"
    --ngpu "${ngpu}" --batch_size "${batch_size}" --speed "${speeds}")
if [ -n "${train_hours}" ]; then
    # Recordings that are long already stay where they are.
    [ "${joined}" = true ] || estimate_opts+=(--in_place)
    [[ ${local_data_opts} != *--ready_labels* ]] || estimate_opts+=(--ready_labels)
    while IFS=$'\t' read -r number words; do
        takes[${number}]=${words}
    done < <("${dry_python}" -m k2d.bin.estimate "${estimate_opts[@]}")
fi

# log TEXT: headings of stages, with what a stage takes at its first.
log() {
    local number words
    if [[ $1 =~ ^Stage\ ([0-9]): ]]; then
        number=${BASH_REMATCH[1]}
        if [ -n "${takes[${number}]:-}" ]; then
            words="about ${takes[${number}]}"
            printf '\n# Stage %s takes %s\n' "${number}" "${words/#about under/under}"
            takes[${number}]=
        fi
        printf '# %s\n' "$1"
    elif [[ $1 == stages* ]]; then
        if [ -n "${train_hours}" ]; then
            printf '\n# A dry run: nothing was run. In all about %s\n' "${takes[all]}"
        else
            printf '\n# A dry run: nothing was run. With --train_hours (--dev_hours, --test_hours) it tells hours and disk.\n'
        fi
    else
        printf '# %s\n' "$1"
    fi
}
