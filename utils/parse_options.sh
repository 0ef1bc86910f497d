# shellcheck shell=bash
# Command-line options for a script: source this after giving every option its default as a variable.
#
#   # What to label
#   nj=4                # jobs at a time
#   train_set=          # recordings: data/<train_set>
#   source utils/parse_options.sh     # ./script --nj 8 --train-set lectures; also --nj=8
#
# In:  the script's own arguments, and the variables it has set, in lower case (arrays and read-only ones are no options).
# Out: the variables changed; "$@" is what follows the options; _options_ended, true where "--" has ended them;
#      _default[NAME], what NAME was before, of the names in _defaults_of.
# --help prints the script's first comment block and every option with its default and the comment behind it, in the
# script's order, under the comment lines that stand before them. A misspelt option is an error that tells the near one,
# never a new variable, and an option that is true or false stays so; it may stand without a value (--resume), which
# means true.

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

# True for a lone -- and for --name or --name=value of a known option: no value of an option, unless that is itself
# options (*_opts).
_options_follows() {
    local name=${2#--}
    name=${name%%=*}
    [[ $2 != -- ]] || return 0
    [[ $2 == --?* && $1 != *[-_]opts ]] && _options_known "${name//-/_}"
}

# Names of all options. Locals here begin with _, or they would be taken for options.
_options_list() {
    local _name
    for _name in $(compgen -v); do
        if _options_known "$_name"; then
            printf '%s\n' "$_name"
        fi
    done
}

# The known option that a misspelt one most likely stands for, as the commands of k2d find it, or nothing.
_options_near() {
    _options_list | python3 -c 'import difflib, sys
print(*difflib.get_close_matches(sys.argv[1], sys.stdin.read().split(), 1))' "$1" 2>/dev/null || true # without Python
}

# A value as one would type it: plain words as they are, nothing for the empty one.
_options_shown() {
    if [[ $1 =~ ^[][[:alnum:]_./:,=@%+{}-]*$ ]]; then
        printf '%s' "$1"
    elif [[ $1 != *[\"\$\`\\]* ]]; then
        printf '"%s"' "$1"
    else
        printf '%q' "$1"
    fi
}

# Options as they stand in the script: "group" (the comment line before them) or "<tab>--name value<tab>what it is";
# those of sourced files come last.
_options_table() {
    local _line _name _words _group='' _block=0 _seen=' '
    while IFS= read -r _line; do
        case $_line in
            '# shellcheck'*) ;;
            '# '*)
                _block=$((_block + 1))
                _group=${_line#'# '}
                ;;
            [a-z]*=*)
                _name=${_line%%=*}
                if _options_known "$_name" && [[ $_seen != *" $_name "* ]]; then
                    _seen+="$_name "
                    [ "$_block" -ne 1 ] || printf '%s\n' "$_group"
                    _words=
                    [[ $_line != *' # '* ]] || _words=${_line#*' # '}
                    printf '\t--%s %s\t%s\n' "$_name" "$(_options_shown "${!_name}")" "$_words"
                fi
                _block=0
                ;;
            *) _block=0 ;;
        esac
    done <"$0"
    for _name in $(_options_list); do
        [[ $_seen == *" $_name "* ]] || printf '\t--%s %s\t\n' "$_name" "$(_options_shown "${!_name}")"
    done
}

_options_help() {
    local _width=${COLUMNS:-}
    [ -n "$_width" ] || _width=$(tput cols 2>/dev/null) || _width=80
    {
        # The comment that the script begins with: paragraphs as one line each, tables (indented) as they are.
        awk 'function flush() { if (text != "") print text; text = "" }
            NR > 1 && !/^#/ { exit }
            NR == 1 || /^# shellcheck/ { next }
            { sub(/^# ?/, "") }
            /^  / || $0 == "" { flush() }
            /^  / { print; next }
            { text = text (text == "" ? "" : " ") $0 }
            END { flush() }' "$0"
        printf 'Options with their defaults. A true/false option without a value means true. %s\n' \
            "You may write hyphens for underscores."
        _options_table
    } | awk -F '\t' -v width="$_width" '
        # Words behind what stands in a line already, further lines from a column on.
        function wrapped(line, text, column,   count, words, i, used) {
            count = split(text, words, " ")
            line = sprintf("%-" column "s", line); used = column
            for (i = 1; i <= count; i++) {
                if (used + length(words[i]) + 1 > width && used > column) {
                    print line; line = sprintf("%-" column "s", ""); used = column
                }
                line = line (used > column ? " " : "") words[i]; used += length(words[i]) + (used > column)
            }
            sub(/ +$/, "", line)
            if (line != "") print line
        }
        BEGIN { if (width < 60) width = 60; if (width > 110) width = 110 }
        /^  / { if (!table) print ""; table = 1; print; next }
        { table = 0 }
        $1 != "" { if (NR > 1) print ""; wrapped("", $1, 0); next }
        {
            line = "  " $2; sub(/ +$/, "", line)
            if (length(line) > 28) { print line; line = "" }
            wrapped(line, $3, 30)
        }'
}

declare -A _default
for _option_name in ${_defaults_of:-}; do
    _default[${_option_name}]=${!_option_name}
done
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
                ! _options_follows "$1" "$2" || _options_fail "option $1 needs a value, and ${2%%=*} follows it"
                _option_value=$2
                shift 2
            fi
            ;;
        *) break ;;
    esac
    _option_name=${_option_name#--}
    _option_name=${_option_name//-/_}
    if ! _options_known "$_option_name"; then
        _option_near=$(_options_near "$_option_name")
        _options_fail "unknown option --$_option_name${_option_near:+ (did you mean --$_option_near?)}; --help lists all"
    fi
    if [[ ${!_option_name} =~ ^(true|false)$ && ! $_option_value =~ ^(true|false)$ ]]; then
        _options_fail "option --$_option_name is true or false, not '$_option_value'"
    fi
    printf -v "$_option_name" '%s' "$_option_value"
done
unset _option_name _option_value
unset -f _options_fail _options_known _options_switch _options_follows _options_list _options_near _options_shown \
    _options_table _options_help
