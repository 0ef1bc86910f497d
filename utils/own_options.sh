# shellcheck shell=bash
# Options that a run.sh reads itself; k2d.sh reads all others.
#
#   source ../../../utils/own_options.sh
#   lecture_hours=2 stop=                      # defaults
#   own_options lecture_hours stop -- "$@"     # --lecture_hours 5, --lecture-hours=5
#   if is_on dry_run; then                     # --dry_run, --dry-run=true
#
# Out: the variables changed, and `options`, an array of all other words in their order.
# shellcheck disable=SC2034,SC2154 # engine and ngpu are a run.sh's

own_options() {
    local _own=' ' _name
    while [ "$1" != -- ]; do
        _own+="$1 " && shift
    done
    shift
    options=()
    while [ $# -gt 0 ]; do
        _name=${1%%=*} && _name=${_name#--} && _name=${_name//-/_}
        if [[ $1 != --* || ${_own} != *" ${_name} "* ]]; then
            options+=("$1") && shift
        elif [[ $1 == *=* ]]; then
            printf -v "${_name}" %s "${1#*=}" && shift
        elif [ $# -gt 1 ] && [[ $2 != --* ]]; then
            printf -v "${_name}" %s "$2" && shift 2
        else
            echo "run.sh: option $1 needs a value" >&2
            exit 2
        fi
    done
}

# engine_of_small_models: CTranslate2 is faster for them on a CPU; on a GPU it needs an older CUDA than torch's. In:
# ngpu, which own_options has read, empty if it was not given. Out: engine, and --ngpu among `options` again.
engine_of_small_models() {
    engine=ctranslate2
    if [ -n "${ngpu}" ]; then
        [ "${ngpu}" = 0 ] || engine=torch
        options+=(--ngpu "${ngpu}")
    fi
}

# is_on NAME: whether `options` have --NAME, alone or with true; of help also -h.
is_on() {
    local _words=" ${options[*]-} "
    [[ $1 != help || ${_words} != *" -h "* ]] || return 0
    _words=${_words//-/_}
    [[ ${_words} == *" __$1"?(=true)" "* && ${_words} != *" __$1 false "* ]]
}
