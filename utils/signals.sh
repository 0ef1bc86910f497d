# shellcheck shell=bash
# What a script has started ends when the script is asked to end (HUP, INT, TERM), though it may take days: bash looks at
# signals between commands, and while it waits.
#
#   source "${K2D_ROOT}/utils/signals.sh"
#   attend k2d train …
#
# Out: `attend`; `stop_when_asked`, once more in a subshell that runs beside others.

# attend WORD…: run it; a signal to the script ends it.
attend() {
    "$@" &
    wait $!
}
# children PROCESS…: those that these have started, and theirs.
children() {
    local process
    local -a found
    for process in "$@"; do
        read -ra found <"/proc/${process}/task/${process}/children" 2>/dev/null || :
        [ ${#found[@]} -eq 0 ] || { echo "${found[@]}" && children "${found[@]}"; }
    done
}
# shellcheck disable=SC2046,SC2086 # process numbers
stopped() {
    trap '' HUP INT TERM
    trap - EXIT
    local running others
    running=$(jobs -p)
    if [ -n "${running}" ]; then
        others=$(children ${running})
        kill ${running} 2>/dev/null || :
        wait
        # run.py and slurm.py have ended what they started; a script, such as local/data.sh, has not.
        for _ in {1..20}; do
            kill ${others} 2>/dev/null || break
            sleep 0.1
        done
    fi
    [ "${BASHPID}" != $$ ] || ! declare -F log >/dev/null || log "stopped: finished work is kept; the same command resumes" >&2
    exit "$1"
}
stop_when_asked() {
    trap 'stopped 129' HUP
    trap 'stopped 130' INT
    trap 'stopped 143' TERM
}
stop_when_asked
