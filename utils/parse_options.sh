# shellcheck shell=bash
# Command-line options for a script: source this after giving every option its default as a variable.
#
#   nj=4
#   train_set=
#   source utils/parse_options.sh     # ./script --nj 8 --train-set lectures; also --nj=8
#
# In:  the script's own arguments, and the variables it has set, in lower case (arrays and read-only ones are no options).
# Out: the variables changed; "$@" is what follows the options; _options_ended, true where "--" has ended them.
# --help prints the script's first comment block and every option with its default and the comment behind it.
# A misspelt option is an error, never a new variable, and an option that is true or false stays so; it may stand
# without a value (--resume), which means true.

_options_fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

# True for a variable that can be an option: lower case, plain (a caller may have exported its namesake).
_options_known() {
    local attributes
    [[ $1 =~ ^[a-z][a-z0-9_]*$ ]] || return 1
    attributes=$(declare -p "$1" 2>/dev/null) || return 1
    [[ $attributes == "declare -"[-x]" "* ]]
}

# True for --name of an option that is true or false now: such an option may stand without a value.
_options_switch() {
    local name=${1#--}
    name=${name//-/_}
    _options_known "$name" && [[ ${!name} =~ ^(true|false)$ ]]
}

# Names of all options.
_options_list() {
    local name
    for name in $(compgen -v); do
        if _options_known "$name"; then
            printf '%s\n' "$name"
        fi
    done
}

_options_help() {
    local name what
    awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"
    printf '\nOptions and their defaults:\n'
    for name in $(_options_list); do
        what=$(sed -n "s/^$name=[^#]*[[:blank:]]# /   # /p" "$0")
        printf '  --%s %q%s\n' "$name" "${!name}" "$what"
    done
}

_options_ended=false
while [ $# -gt 0 ]; do
    case "$1" in
        --help | -h)
            _options_help
            exit 0
            ;;
        --)
            shift
            _options_ended=true
            break
            ;;
        --*=*)
            _option_name=${1%%=*}
            _option_value=${1#*=}
            shift
            ;;
        --*)
            _option_name=$1
            if _options_switch "$1" && { [ $# -lt 2 ] || [[ $2 == --* ]]; }; then
                _option_value=true
                shift
            else
                [ $# -ge 2 ] || _options_fail "option $1 needs a value"
                _option_value=$2
                shift 2
            fi
            ;;
        *) break ;;
    esac
    _option_name=${_option_name#--}
    _option_name=${_option_name//-/_}
    _options_known "$_option_name" ||
        _options_fail "unknown option --$_option_name; --help lists all"
    if [[ ${!_option_name} =~ ^(true|false)$ && ! $_option_value =~ ^(true|false)$ ]]; then
        _options_fail "option --$_option_name is true or false, not '$_option_value'"
    fi
    printf -v "$_option_name" '%s' "$_option_value"
done
unset _option_name _option_value
unset -f _options_fail _options_known _options_switch _options_list _options_help
