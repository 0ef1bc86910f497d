# shellcheck shell=bash disable=SC2154 # reads k2d.sh's options
# What the stages of k2d.sh are written with: a step that is parsed, printed or run.
#
# In:  k2d.sh's options, and when stages run what options.sh and names.sh make of them. Out: `step`, `run_here`,
#      `in_background`, `run_stages`; log, die.
# All stages are gone through twice: first every command is only written down and parsed, all of them by one
# `k2d parse`, so that a misspelt option of stage 8 is found before stage 1 touches the disk; then they are run, or,
# for a dry run, printed.

log() { printf '%s k2d.sh: %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*"; }
die() {
    log "$*" >&2
    exit 1
}

# shellcheck source=utils/signals.sh
source "${K2D_ROOT}/utils/signals.sh"

# ask_for ALONE JOB: what a command that runs alone and one of nj jobs ask for: a GPU, or so many cores.
ask_for() {
    if [ "${ngpu}" -gt 0 ]; then
        alone_needs=(--gpu 1)
        job_needs=(--gpu 1)
    else
        alone_needs=(--num_threads "$1")
        job_needs=(--num_threads "$2")
    fi
}

mode=parse
parsed=() # the commands of all stages, as `k2d parse` reads them

# ask COMMAND…: the exit status of `k2d COMMAND… --begin`: 0 if its output is done, 3 if it is to be made, else an error.
# ask look COMMAND…: print which inputs and options of its output have changed since it was made.
# ask hold DIR: hold what is done until this run ends, so that no other one puts other work into its place meanwhile.
# One process answers for all steps, and asks them one at a time.
ask() {
    local status='' message=''
    {
        flock "${turn}"
        printf '%s\0' "$#" "$@" >&"${questions}"
        read -r status message <&"${answers}"
    } {turn}>exp/.k2d/begin.lock
    exec {turn}>&-
    [ -z "${message}" ] || printf '%s\n' "${message}"
    return "${status:-1}"
}
nobody_reads() {
    kill -0 "${asked}" 2>/dev/null || die "k2d begin, which says what is done, was killed; run the same command again"
    stopped 141 # it was the output: | head has read enough
}
answer_questions() {
    { mkdir -p exp/.k2d && : >>exp/.k2d/begin.lock; } || die "exp/ cannot be written; the line above says why"
    coproc BEGIN { K2D_RUN=$$ exec k2d begin; }
    asked=${BEGIN_PID}
    disown "${asked}" # no job to wait for: it ends when nobody can ask any more
    exec {questions}>&"${BEGIN[1]}" {answers}<&"${BEGIN[0]}"
    trap nobody_reads PIPE
}

# step KIND COMMAND OUT OPTION…: `k2d COMMAND --output_dir OUT OPTION…`, unless OUT is done. KIND says where it runs:
# here, cpu (short work), alone (one process with the cores, or a GPU), jobs (nj of these, joined), train.
step() {
    local kind=$1 name=$2 out=$3 log=$3/log/$2 status=0
    local -a command=("$2" --output_dir "$3" "${@:4}") many=()
    if [ "${kind}" = jobs ]; then
        command+=("${work_opts[@]}")
        [ "${nj}" -eq 1 ] || many=(--num_jobs "${nj}")
    elif [ "${kind}" = train ]; then
        command+=(--ngpu "${ngpu}")
        # Otherwise ESPnet would spread one process over the GPUs, with one teacher for all of them.
        [ "${ngpu}" -le 1 ] || command+=(--multiprocessing_distributed true)
    fi
    case ${mode} in
        parse)
            # With all that it may be run with, so that no *_opts gives it once more.
            command+=(--begin)
            [ "${kind}" != jobs ] || command+=(--num_jobs 1 --job 1)
            parsed+=("${#command[@]}" "${command[@]}")
            return
            ;;
        look)
            ask look "${command[@]}" >&2 || :
            return
            ;;
        print)
            [ ${#many[@]} -eq 0 ] || show k2d "${command[@]}" "${many[@]}" --job JOB "# for JOB in 1:${nj}, side by side"
            show k2d "${command[@]}" "${many[@]}"
            return
            ;;
    esac
    # Asked here, so that nothing is submitted, and no log written anew, for what is done.
    ask "${command[@]}" "${many[@]}" || status=$?
    case ${status} in
        0) hold "${out}" && return ;;
        3) ;;
        *) die "${out}: ${name} cannot begin; the line above says why$(
            [ "${stage}" -eq 1 ] || echo '. Without --stage, what earlier stages lack is made first')" ;;
    esac
    case ${kind} in
        here) attend k2d "${command[@]}" ;;
        cpu) attend "${cpu_cmd[@]}" "${log}.log" k2d "${command[@]}" ;;
        alone) attend "${decode_cmd[@]}" "${alone_needs[@]}" "${log}.log" k2d "${command[@]}" ;;
        # Of ESPnet's log, which is long, only the progress.
        train) RUN_QUIETLY=true attend "${train_cmd[@]}" --gpu "${ngpu}" --num_nodes "${num_nodes}" "${log}.log" k2d "${command[@]}" ;;
        jobs)
            if [ ${#many[@]} -eq 0 ]; then
                attend "${decode_cmd[@]}" "${job_needs[@]}" "${log}.log" k2d "${command[@]}"
            else
                # Every job keeps what it has finished, so a killed one goes on from there.
                attend "${decode_cmd[@]}" K2D_JOB="1:${nj}" "${job_needs[@]}" "${log}.K2D_JOB.log" \
                    k2d "${command[@]}" "${many[@]}" --job K2D_JOB
                attend "${cpu_cmd[@]}" "${log}.log" k2d "${command[@]}" "${many[@]}"
            fi
            ;;
    esac
    hold "${out}"
}
hold() { ask hold "$1" || die "$1: another run has taken it; the line above says which"; }

# run_here WORD…: a command that is no step and decides by itself what there is to do.
run_here() {
    case ${mode} in
        parse) [ "$1" != k2d ] || parsed+=("$(($# - 1))" "${@:2}") ;;
        print) show "$@" ;;
        run) attend "$@" ;;
    esac
}

# prepare_data WORD…: the corpus's own preparation, one at a time.
# A local/data.sh that knows K2D_PARSE_ONLY has its options parsed with all others.
prepare_data() {
    if [ "${mode}" = parse ] && [ "$1" = local/data.sh ] && grep -qs K2D_PARSE_ONLY "$1"; then
        K2D_PARSE_ONLY=true "$@" >/dev/null || die "--local_data_opts: nothing was run; the line above says what to correct"
    fi
    [ "${mode}" = run ] || { run_here "$@" && return; }
    [ -t 2 ] || local -x TQDM_DISABLE=1 # in a file a progress bar would be one endless line
    attend "${data_cmd[@]}" "${K2D_ROOT}/utils/own.py" data/stage_1 "$@"
}

# show WORD…: the words as one would type them.
show() {
    local word line='' LC_ALL=C.UTF-8 # in which Chinese needs no quotes
    for word in "$@"; do
        [[ ${word} == '# '* || ${word} =~ ^[][[:alnum:]_./:,=@%+{}-]+$ ]] || word=${word@Q}
        line+=" ${word}"
    done
    printf '   %s\n' "${line}"
}

# in_background FUNCTION WORD…: run it, beside others where --side_by_side allows it. wait_for_all fails if one of them
# did, once all have ended.
one_failed=false
in_background() {
    if [ "${side_by_side}" -eq 1 ] || [ "${mode}" != run ]; then
        "$@"
        return
    fi
    while [ "$(jobs -rp | wc -l)" -ge "${side_by_side}" ]; do
        wait -n || one_failed=true
    done
    (
        stop_when_asked
        export RUN_QUIETLY=true
        if [ "${cmd_backend}" = local ]; then
            OMP_NUM_THREADS=$((OMP_NUM_THREADS / side_by_side > 0 ? OMP_NUM_THREADS / side_by_side : 1))
            ask_for "${OMP_NUM_THREADS}" "$((OMP_NUM_THREADS / nj > 0 ? OMP_NUM_THREADS / nj : 1))"
        fi
        "$@"
    ) &
}
wait_for_all() {
    while [ -n "$(jobs -p)" ]; do
        wait -n || one_failed=true
    done
    ! "${one_failed}" || die "not all of this stage could be made; what was made is kept"
}

# say_recordings: whose recordings a run goes on with that reads no folder, or comes after the stage that would.
say_recordings() {
    local list="data/${train_set}/recordings.tsv"
    [ -f "${list}" ] && [ ! -x local/data.sh ] || return 0
    [ -z "${recordings}" ] || [ "${stage}" -gt 1 ] || return 0
    # The third column has the files; the longest beginning that all share is the folder, or one in it.
    # ENVIRON, since -v would take a backslash in a path for the beginning of an escape.
    given=${recordings%/} awk -F '\t' -v "data=data/${train_set}" -v "why=$(
        [ -z "${recordings}" ] && echo 'no --recordings' || echo "--stage ${stage} does not read --recordings"
    )" 'NR == 1 { next }
        { folder = $3; sub("/[^/]*$", "", folder) }
        NR == 2 { shared = folder "/" }
        { while (index(folder "/", shared) != 1) sub("[^/]*/$", "", shared) }
        END {
            if (ENVIRON["given"] != "" && index(shared, ENVIRON["given"] "/") == 1) exit
            sub("/$", "", shared)
            printf "%s: goes on with %s, %d recording%s from %s\n", why, data, NR - 1, NR == 2 ? "" : "s", shared
        }' "${list}" | while IFS= read -r said; do log "${said}"; done
}

# show_plan: what the stages take, before the commands of a dry run.
show_plan() {
    local -a options=(--teacher "$(tag_of "${teacher}")" --selection "${selected[*]}" --seed "${seed}"
        --stage "${stage}" --stop_stage "${stop_stage}" "${config_opts[@]}" --ngpu "${ngpu}" --nj "${nj}"
        --batch_size "${batch_size}" --side_by_side "${side_by_side}" --speeds "${speeds}" --dev_hours "${dev_hours}" ${updates:+--updates "${updates}"} ${trial:+--trial "${trial}"})
    local validators=() others=()
    for each in ${validator}; do
        validators+=("$(tag_of "${each}")")
    done
    for each in "${transcribers[@]}"; do
        [[ " ${validators[*]} " == *" $(tag_of "${each}") "* ]] || others+=("$(tag_of "${each}")")
    done
    options+=(--validator "${validators[*]}")
    [ ${#others[@]} -eq 0 ] || options+=(--revise "${others[*]}")
    [ -z "${test_sets}" ] || options+=(--test_hours "${test_hours}")
    [ "${joined}" = false ] || [ -n "${recordings}" ] || options+=(--joined)
    [[ ${labels:-${teacher}} != text:* ]] || options+=(--ready_labels)
    ! "${store_encoder_out}" || options+=(--encoder_out $((noisy_versions + 1)))
    ! "${cache_teacher}" || options+=(--topk "${topk}")
    [ "${cmd_backend}" = local ] || options+=(--elsewhere)
    if [ -n "${train_hours}" ]; then
        options+=(--train_hours "${train_hours}")
    elif [ -n "${recordings}" ]; then
        options+=(--recordings "${recordings}")
    elif [ -e "data/${train_set}/utt2dur" ]; then
        options+=(--data "data/${train_set}")
    else
        echo "# With --train_hours (--dev_hours, --test_hours) a dry run estimates time and disk."
        return
    fi
    k2d plan "${options[@]}"
}

# lasted SECONDS: as a person writes it.
lasted() {
    if [ "$1" -lt 60 ]; then
        printf '%d s' "$1"
    elif [ "$1" -lt 3600 ]; then
        printf '%d min %d s' "$(($1 / 60))" "$(($1 % 60))"
    else
        printf '%d h %d min' "$(($1 / 3600))" "$(($1 / 60 % 60))"
    fi
}

# say_next: what a run has made: the best student, a command that uses it, the pages. Of stages 1 to 3 there is nothing.
say_next() {
    [ "${stop_stage}" -gt 4 ] || earlier+=("${students[@]}")
    [ "${stop_stage}" -lt 4 ] || k2d next --models "${models[*]}" --earlier "${earlier[*]}" \
        --test_sets "${test_sets}" --held_out "${held_out}" --explorers "${explorers[*]#*:}" || :
}

run_stages() {
    local number begun here=()
    local -a functions=(stage_1_data stage_2_label stage_3_validate stage_4_select stage_5_train stage_6_decode
        stage_7_score stage_8_publish)
    ask_for "${alone_threads}" "${job_threads}"
    run_here k2d check "${check_opts[@]}" # models and GPUs, whatever the first stage is
    for number in $(seq "${stage}" "${stop_stage}"); do
        "${functions[number - 1]}"
    done
    [ "${cmd_backend}" != local ] || "${dry_run}" || here=(--ngpu "${ngpu}")
    printf '%s\0' "${parsed[@]}" | k2d parse "${here[@]}" --options "$(sed -n 's/^\([a-z_]*\)=.*/\1/p' "$0")" ||
        die "nothing was run; correct the options above, and --help lists all"
    mode=run
    if "${dry_run}"; then
        mode=print
        show_plan
    else
        answer_questions
    fi
    say_recordings
    # What earlier stages made is taken as it is; that what they read, or their options, have changed since is said.
    if [ "${mode}" = run ] && [ "${stage}" -gt 2 ]; then
        mode=look
        for number in $(seq 2 "$((stage - 1))"); do
            "${functions[number - 1]}" 2> >(sed "s/$/; --stage ${stage_names[number - 1]} makes it again/" >&2)
        done
        mode=run
    fi
    for number in $(seq "${stage}" "${stop_stage}"); do
        if [ "${mode}" = print ]; then
            printf '\n# Stage %s: %s\n' "${number}" "${stage_names[number - 1]}"
        else
            log "Stage ${number}: ${stage_names[number - 1]}"
        fi
        begun=${SECONDS}
        [ "${number}" -lt 8 ] || [ "${mode}" = print ] || trap say_next EXIT # also where an export fails
        "${functions[number - 1]}"
        [ "${mode}" = print ] || log "Stage ${number}: ${stage_names[number - 1]} took $(lasted "$((SECONDS - begun))")"
    done
    if [ "${mode}" = print ]; then
        printf '\n# A dry run: nothing was run.\n'
    else
        log "stage$([ "${stage}" = "${stop_stage}" ] || echo "s ${stage} to") ${stop_stage} took $(lasted "$((SECONDS - start_time))")$(
            [ "${stop_stage}" -eq 8 ] || echo '; the same command without --stop_stage goes on')"
        trap - EXIT
        say_next
    fi
}
