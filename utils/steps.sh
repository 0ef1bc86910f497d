# shellcheck shell=bash disable=SC2034,SC2154 # reads k2d.sh's options and sets what its stages read
# What the stages of k2d.sh are written with: a step that is parsed, printed or run. Sourced after the options.
#
# In:  k2d.sh's options. Out: names of models and selections, `step`, `together`, `run_stages`.
# All stages are gone through twice: first every command is only written down and parsed, all of them by one
# `k2d parse`, so that a misspelt option of stage 8 is found before stage 1 touches the disk; then they are run, or,
# for a dry run, printed.

log() { printf '%s k2d.sh: %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*"; }
die() {
    log "$*" >&2
    exit 1
}

stopped() {
    log "stopped: what is finished is kept; the same command goes on from here" >&2
    exit "$1"
}
trap 'stopped 130' INT
trap 'stopped 143' TERM

# ------------------------------------------------------------------------------------------- what the options say

[ $# -eq 0 ] || die "unexpected argument '$1': every option has a name; --help lists them"
selection=${selections:-${selection}}
for option in train_set teacher validator selection alpha seed; do
    [ -n "${!option}" ] || die "--${option} is needed; --help says what it is"
done

# expect PATTERN WHAT OPTION…: every word of these options looks so. Before any arithmetic, which would run a $(…).
expect() {
    local pattern=$1 what=$2 option word
    for option in "${@:3}"; do
        for word in ${!option}; do
            [[ ${word} =~ ^(${pattern})$ ]] || die "--${option} ${word}: expected ${what}"
        done
    done
}
# is_hub_id WORD: OWNER/NAME[@REVISION], and OWNER is no folder here; `k2d parse` asks the Hugging Face Hub for it.
is_hub_id() { [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*(@.+)?$ ]] && [ ! -e "${1%%/*}" ]; }
set -f # an option's blanks separate words; its * and ? are no file names
expect '[1-9][0-9]*|auto' 'a number of jobs, or auto' nj
expect '[1-9][0-9]*' 'a whole number from 1 on' side_by_side nj_encode num_nodes nbest topk job_threads train_threads
expect '[0-9]+' 'a whole number' ngpu noisy_versions batch_size seed data_seed max_skipped
expect '0?\.[0-9]+|1(\.0*)?' 'a share, above 0 and at most 1' keep
expect '[1-9][0-9]*|auto' 'how many updates, or auto' updates
expect '[0-9]+(\.[0-9]*)?|\.[0-9]+' 'a number' alpha hours max_chunk init_weight train_hours dev_hours test_hours
expect 'warn|skip' 'warn or skip' damaged
expect '[^/:[:space:]]+' 'a plain name' train_set dev_set test_sets student_tag
for option in teacher validator student_init; do # a misspelt path must not be found after days of decoding
    for word in ${!option}; do
        [[ ${word} != */* || ${word} == *:* ]] || [ -e "${word}" ] || is_hub_id "${word}" ||
            die "--${option} ${word}: no such file or folder; give a checkpoint, a name such as base or OWNER/NAME on the Hub"
    done
done
for word in ${teacher} ${validator}; do
    [[ ! ${word} =~ \.en(@.*|\.pt)?$ ]] || [ "${language}" = en ] ||
        die "${word} knows English only, and --language is ${language}: give a model without .en, or --language en"
done
if [ "${ngpu}" -gt 0 ] && [ "${cmd_backend}" = local ] && ! "${dry_run}" && [ ! -e /dev/nvidia0 ] &&
    ! nvidia-smi --list-gpus 2>/dev/null | grep -q ^GPU; then
    die "--ngpu ${ngpu}: this machine shows no GPU (nvidia-smi); --ngpu 0 runs on its CPU, --dry_run says how long it takes"
fi
[ -z "${recordings}" ] || [ -d "${recordings}" ] ||
    die "--recordings ${recordings}: no such folder; give one with audio or video files in it or below"
[ -n "${recordings}" ] || [ -e local/data.sh ] || [ -e "data/${train_set}/wav.scp" ] || "${dry_run}" ||
    die "data/${train_set}/wav.scp: not there; give --recordings FOLDER, or write it (README: Your own recordings)"

readonly stage_names=(data label validate select train decode score publish)
# stage_number OPTION: its value as a number from 1 to 8.
stage_number() {
    local number
    for number in {1..8}; do
        if [ "${!1}" = "${number}" ] || [ "${!1}" = "${stage_names[number - 1]}" ]; then
            printf '%s' "${number}"
            return
        fi
    done
    die "--$1 ${!1}: expected 1 to 8, or one of ${stage_names[*]}"
}
stage=$(stage_number stage)
stop_stage=$(stage_number stop_stage)
[ "${stage}" -le "${stop_stage}" ] || die "--stage ${stage} comes behind --stop_stage ${stop_stage}: nothing would be done"

# The words of an option that is passed on, split as a shell splits them: quotes hold words together.
for option in local_data teacher validator distance select train test timing publish; do
    declare -n from="${option}_opts" into="${option}_words"
    into=()
    text=$(printf '%s' "${from}" | xargs -r printf '%s\n' 2>/dev/null) || die "--${option}_opts: a quote is not closed: ${from}"
    [ -z "${text}" ] || mapfile -t into <<<"${text}"
    unset -n from into
done

[ "${nj}" != auto ] || nj=$((ngpu > 1 ? ngpu : 1))
# shellcheck source=egs/TEMPLATE/k2d1/cmd.sh
source ./cmd.sh
device=$([ "${ngpu}" -gt 0 ] && echo cuda || echo cpu)
audio_opts=(--damaged "${damaged}") # of every command that reads recordings
! "${allow_pipes}" || audio_opts+=(--allow_pipes)
work_opts=("${audio_opts[@]}" ${max_skipped:+--max_skipped "${max_skipped}"})
model_opts=(--engine "${engine}" --dtype "${dtype}" --language "${language}" --seed "${data_seed}" --device "${device}"
    --batch_size "${batch_size}")
encoder_opts=(--model "${teacher}" --device "${device}" --nj "${nj_encode}" "${work_opts[@]}")
config_opts=(--config "${K2D_ROOT}/conf/train_student.yaml")
for each in ${train_config}; do
    config_opts+=(--config "${each}")
done
init_opts=(--decoder_layers "${decoder_layers}")
if [ -n "${student_init}" ]; then
    init_opts=(--init "${student_init}")
    ! "${store_encoder_out}" || init_opts+=(--same_encoder)
fi
# Only a Whisper checkpoint tells what it thinks of every token; of others the labels alone are learnt.
teacher_to_learn_from=()
if [[ ${teacher} =~ ^(text|espnet|transformers): ]]; then
    ! "${cache_teacher}" || die "--cache_teacher true: ${teacher} has no token probabilities to keep; leave it out"
    [ -n "${student_init}" ] || die "--teacher ${teacher} has no layers to build a student from: name one by --student_init"
elif ! "${cache_teacher}"; then
    teacher_to_learn_from=(--teacher "${teacher}")
fi

# ------------------------------------------------------------------------------------------------------ names

# tag_of MODEL: its name in directory names: large-v2, the last part of a path, of "text:a/subtitles" subtitles.
tag_of() { basename "${1#*:}" .pt; }
# is MODEL OTHER: whether directory names would not tell them apart; where they are two, the steps' keys do.
is() { [ "$(tag_of "$1")" = "$(tag_of "$2")" ]; }
# rule_of SELECTION: the file of a selection, the recipe's own or the shared one.
rule_of() {
    local folder
    for folder in conf/selections "${K2D_ROOT}/conf/selections"; do
        [ ! -e "${folder}/$1.rule" ] || { printf '%s' "${folder}/$1.rule" && return; }
    done
}
# uses_alpha SELECTION: whether its rule speaks of α, so that several α give several selections.
uses_alpha() { [ -n "$(rule_of "$1")" ] && grep -v '^ *#' "$(rule_of "$1")" | grep -qw alpha; }

exp="exp/${train_set}_$(tag_of "${labels:-${teacher}}")"
chunks="data/${train_set}_$(tag_of "${labels:-${teacher}}")"
selected=() students=()
declare -A selection_of alpha_of validator_of hours_of trained_on seed_of path_of
for each in ${validator}; do
    for word in ${selection}; do
        plain=${word%@*}
        [ "${plain}" = "${word}" ] || [ -z "$(rule_of "${plain}")" ] || uses_alpha "${plain}" ||
            die "--selection ${word}: ${plain} has no alpha; leave out what follows the @"
        if uses_alpha "${plain}"; then
            alphas=${alpha}
            [ -z "${keep}" ] || alphas=keep${keep// / keep}
            [ "${plain}" = "${word}" ] || alphas=${word#*@}
        else
            [ "${each}" = "${validator%% *}" ] || continue # it would be the same of every validator
            alphas=none
        fi
        for at in ${alphas}; do
            name=${plain}
            [ "${at}" = none ] || [ "${at}" = "${_default_alpha}" ] || name+="@${at}"
            [ "${at}" = none ] || is "${each}" "${_default_validator}" || name+="_$(tag_of "${each}")"
            for part in ${hours:-all}; do
                labels_of=${name}
                [ "${part}" = all ] || labels_of+="_${part}h"
                [ -z "${selection_of[${labels_of}]:-}" ] || continue
                selected+=("${labels_of}")
                selection_of[${labels_of}]=${plain}
                alpha_of[${labels_of}]=${at#none}
                validator_of[${labels_of}]=${each}
                hours_of[${labels_of}]=${part#all}
                for number in ${seed}; do
                    student="student_${student_tag:+${student_tag}_}${labels_of}"
                    is "${teacher}" "${_default_teacher}" || student+="_$(tag_of "${teacher}")"
                    [ "${number}" = "${_default_seed}" ] || student+="_seed${number}"
                    students+=("${student}")
                    trained_on[${student}]=${labels_of}
                    seed_of[${student}]=${number}
                    path_of[${student}]="exp/${student}/average"
                done
            done
        done
    done
done

# Rows of the tables: folders in exp/, each with a model.json that says what it is.
teacher_name=teacher
is "${teacher}" "${_default_teacher}" || teacher_name="teacher_$(tag_of "${teacher}")"
models=()
[[ ${teacher} == text:* ]] || models+=("${teacher_name}") # transcripts of the lectures say nothing of the test sets
path_of[${teacher_name}]=${teacher}
declare -A validator_name
score_dirs=() explorers=()
for each in ${validator}; do
    name=validator
    is "${each}" "${_default_validator}" || name="validator_$(tag_of "${each}")"
    validator_name[${each}]=${name}
    path_of[${name}]=${each}
    [[ ${each} == text:* ]] || models+=("${name}")
    score_dirs+=("${name}:${exp}/$(tag_of "${each}")")
    explorers+=("${name}:${exp}/explorer_$(tag_of "${each}")")
done
score_dirs=(--scores "${score_dirs[*]}")
if "${decode_untrained}"; then
    models+=(untrained) # the same for all selections
    path_of[untrained]="exp/${students[0]}/init"
fi
models+=("${students[@]}")

# What stages 2 to 8 need, for stage 1 to look at.
check_opts=(--train_data "data/${train_set}" ${dev_set:+--dev_data "data/${dev_set}"})
for set in ${test_sets}; do
    check_opts+=(--test_data "data/${set}")
done
check_opts+=("${work_opts[@]}" --teacher "${teacher}")
for each in ${validator}; do
    check_opts+=(--validator "${each}")
done
check_opts+=(${labels:+--labels "${labels}"} ${student_init:+--student_init "${student_init}"} --language "${language}"
    --decoder_layers "${decoder_layers}" "${config_opts[@]}" --students "${students[@]}" --batch_size "${batch_size}")
! "${store_encoder_out}" || check_opts+=(--encoder_out $((noisy_versions + 1)))
[[ " ${teacher_words[*]} " != *" --no_copy "* ]] || check_opts+=(--no_copy)
if [ "${cmd_backend}" = local ]; then
    check_opts+=(--ngpu "${ngpu}")
else
    check_opts+=(--elsewhere)
fi

# What is kept from training where no set is labelled.
held_out="${chunks}_held_out"
dev_data="${chunks}_dev"
tested=${test_sets:-held_out}
scores_of_first="${exp}/$(tag_of "${validator%% *}")"
not_to_select=() not_to_learn=() kept_by_all=()
# Chunks drawn for somebody to hear and correct (k2d audit) are not learnt from; nor is, then, what was held out before
# there was that test set, since it is drawn from there.
audited=() drawn=()
holds_out=false
[ -n "${test_sets}" ] || holds_out=true
for set in ${test_sets} ${dev_set}; do
    [ -f "data/${set}/audit.json" ] || continue
    # Labels of these chunks are then measured, too; the set may also be another corpus's.
    for each in "${chunks}" "${held_out}"; do
        [ ! -f "data/${set}/text" ] || ! grep -qF "\"data\": \"${each}\"," "data/${set}/audit.json" ||
            audited+=("data/${set}")
    done
    drawn+=(--leave_out "data/${set}/drawn")
    [ "${set}" = "${dev_set}" ] || holds_out=true
done
! "${holds_out}" || not_to_select=(--leave_out "${held_out}")
not_to_select+=("${drawn[@]}")
if [ -n "${dev_set}" ]; then
    dev_data="data/${dev_set}"
else
    not_to_learn=(--leave_out "${dev_data}")
    for name in "${selected[@]}"; do
        kept_by_all+=(--kept "${chunks}_${name}")
    done
fi
# data_of SET: the directory of a test set.
data_of() { if [ -n "${test_sets}" ]; then printf 'data/%s' "$1"; else printf '%s' "${held_out}"; fi; }

# skip_small_selections: those that keep too little to train on have no student; the others go on.
skip_small_selections() {
    local name student why
    local -A small=()
    local -a before=()
    [ "${mode}" = run ] || return 0
    for name in "${selected[@]}"; do
        [ -s "${chunks}_${name}/too_few.txt" ] || continue
        small[${name}]=yes
        why=$(<"${chunks}_${name}/too_few.txt")
        log "no student of ${name}: ${why}. What every alpha keeps is to be seen, and heard, in" \
            "${exp}/explorer_$(tag_of "${validator_of[${name}]}")/explorer.html"
    done
    [ ${#small[@]} -gt 0 ] || return 0
    before=("${selected[@]}") selected=() kept_by_all=()
    for name in "${before[@]}"; do
        [ -z "${small[${name}]:-}" ] || continue
        selected+=("${name}")
        [ -n "${dev_set}" ] || kept_by_all+=(--kept "${chunks}_${name}")
    done
    before=("${students[@]}") students=()
    for student in "${before[@]}"; do
        [ -n "${small[${trained_on[${student}]}]:-}" ] || students+=("${student}")
    done
    before=("${models[@]}") models=()
    for name in "${before[@]}"; do
        [ -n "${trained_on[${name}]:-}" ] && [ -n "${small[${trained_on[${name}]}]:-}" ] || models+=("${name}")
    done
    [ ${#students[@]} -eq 0 ] || path_of[untrained]="exp/${students[0]}/init"
}

# some_students: go on with those that there are; without any there is nothing to train, decode or publish.
some_students() {
    skip_small_selections
    [ ${#students[@]} -gt 0 ] || die "no selection keeps enough to train a student on; the lines above say what would"
}

# record_models: say of every model what it is, in exp/<model>/model.json.
record_models() {
    run_here k2d record --output_dir "exp/${teacher_name}" --role teacher --path "${teacher}"
    for each in ${validator}; do
        run_here k2d record --output_dir "exp/${validator_name[${each}]}" --role validator --path "${each}"
    done
    ! "${decode_untrained}" ||
        run_here k2d record --output_dir exp/untrained --role untrained --path "${path_of[untrained]}" --teacher "${teacher_name}"
    for student in "${students[@]}"; do
        name=${trained_on[${student}]} at=()
        case ${alpha_of[${name}]} in
            keep*) at=(--keep "${alpha_of[${name}]#keep}") ;;
            ?*) at=(--alpha "${alpha_of[${name}]}") ;;
        esac
        run_here k2d record --output_dir "exp/${student}" --role student --path "${path_of[${student}]}" \
            --teacher "${teacher_name}" --validator "${validator_name[${validator_of[${name}]}]}" \
            --selection "${selection_of[${name}]}" "${at[@]}" ${hours_of[${name}]:+--hours "${hours_of[${name}]}"} \
            --seed "${seed_of[${student}]}" --data "${chunks}_${name}" ${student_tag:+--tag "${student_tag}"}
    done
}

# -------------------------------------------------------------------------------------------------- running them

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
ask_for "${alone_threads}" "${job_threads}"

mode=parse
parsed=() # the commands of all stages, as `k2d parse` reads them

# ask COMMAND…: the exit status of `k2d COMMAND… --begin`: 0 if its output is done, 3 if it is to be made, else an error.
# One process answers for all steps, and asks them one at a time.
ask() {
    local status='' said=''
    {
        flock "${turn}"
        printf '%s\0' "$#" "$@" >&"${questions}"
        read -r status said <&"${answers}"
    } {turn}>data/.k2d/begin.lock
    exec {turn}>&-
    [ -z "${said}" ] || printf '%s\n' "${said}"
    return "${status:-1}"
}
answer_questions() {
    mkdir -p data/.k2d
    coproc BEGIN { exec k2d begin; }
    disown "${BEGIN_PID}" # no job to wait for: it ends when nobody can ask any more
    exec {questions}>&"${BEGIN[1]}" {answers}<&"${BEGIN[0]}"
}

# step KIND COMMAND OUT OPTION…: `k2d COMMAND --output_dir OUT OPTION…`, unless OUT is done. KIND says where it runs:
# here, cpu (short work), alone (one process with the cores, or a GPU), jobs (nj of these, joined), train.
step() {
    local kind=$1 name=$2 out=$3 log=$3/log/$2 status=0
    local -a command=("$2" --output_dir "$3" "${@:4}") many=() processes=()
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
            parsed+=("${#command[@]}" "${command[@]}")
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
        0) return ;;
        3) ;;
        *) die "${out}: ${name} cannot begin; the line above says why" ;;
    esac
    case ${kind} in
        here) k2d "${command[@]}" ;;
        cpu) "${cpu_cmd[@]}" "${log}.log" k2d "${command[@]}" ;;
        alone) "${decode_cmd[@]}" "${alone_needs[@]}" "${log}.log" k2d "${command[@]}" ;;
        train) "${train_cmd[@]}" --gpu "${ngpu}" --num_nodes "${num_nodes}" "${log}.log" k2d "${command[@]}" ;;
        jobs)
            if [ ${#many[@]} -eq 0 ]; then
                "${decode_cmd[@]}" "${job_needs[@]}" "${log}.log" k2d "${command[@]}"
            else
                # Every job keeps what it has finished, so a killed one goes on from there.
                "${decode_cmd[@]}" JOB="1:${nj}" "${job_needs[@]}" "${log}.JOB.log" \
                    k2d "${command[@]}" "${many[@]}" --job JOB
                "${cpu_cmd[@]}" "${log}.log" k2d "${command[@]}" "${many[@]}"
            fi
            ;;
    esac
}

# run_here WORD…: a command that is no step and decides by itself what there is to do.
run_here() {
    case ${mode} in
        parse) [ "$1" != k2d ] || parsed+=("$(($# - 1))" "${@:2}") ;;
        print) show "$@" ;;
        run) "$@" ;;
    esac
}

# prepare_data WORD…: the corpus's own preparation, one at a time.
prepare_data() {
    [ "${mode}" = run ] || { run_here "$@" && return; }
    mkdir -p data/.k2d
    [ -t 2 ] || local -x TQDM_DISABLE=1 # in a file a progress bar would be one endless line
    "${data_cmd[@]}" flock --nonblock --conflict-exit-code 9 data/.k2d/prepared.lock "$@" || {
        local status=$?
        [ "${status}" -ne 9 ] || die "data/: another process prepares it; wait for it to end, or stop it, and run again"
        exit "${status}"
    }
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

# together FUNCTION WORD…: run it, beside others where --side_by_side allows it. all_together waits for them and fails
# if one of them did, once all have ended.
one_failed=false
together() {
    if [ "${side_by_side}" -eq 1 ] || [ "${mode}" != run ]; then
        "$@"
        return
    fi
    while [ "$(jobs -rp | wc -l)" -ge "${side_by_side}" ]; do
        wait -n || one_failed=true
    done
    (
        export RUN_QUIETLY=true
        if [ "${cmd_backend}" = local ]; then
            OMP_NUM_THREADS=$((OMP_NUM_THREADS / side_by_side > 0 ? OMP_NUM_THREADS / side_by_side : 1))
            ask_for "${OMP_NUM_THREADS}" "$((OMP_NUM_THREADS / nj > 0 ? OMP_NUM_THREADS / nj : 1))"
        fi
        "$@"
    ) &
}
all_together() {
    while [ -n "$(jobs -p)" ]; do
        wait -n || one_failed=true
    done
    ! "${one_failed}" || die "not all of this stage could be made; what was made is kept"
}

# show_plan: what the stages take, before the commands of a dry run.
show_plan() {
    local -a options=(--teacher "$(tag_of "${teacher}")" --validator "$(tag_of "${validator%% *}")"
        --selection "${selected[*]}" "${config_opts[@]}" --ngpu "${ngpu}" --nj "${nj}" --batch_size "${batch_size}"
        --speeds "${speeds}" --dev_hours "${dev_hours}" ${updates:+--updates "${updates}"} ${trial:+--trial "${trial}"})
    [ -z "${test_sets}" ] || options+=(--test_hours "${test_hours}")
    [ "${joined}" = false ] || [ -n "${recordings}" ] || options+=(--joined)
    [[ ${labels:-${teacher}} != text:* ]] || options+=(--ready_labels)
    if [ -n "${train_hours}" ]; then
        options+=(--train_hours "${train_hours}")
    elif [ -n "${recordings}" ]; then
        options+=(--recordings "${recordings}")
    elif [ -e "data/${train_set}/utt2dur" ]; then
        options+=(--data "data/${train_set}")
    else
        echo "# With --train_hours (--dev_hours, --test_hours) a dry run tells hours and disk."
        return
    fi
    k2d plan "${options[@]}"
}

run_stages() {
    local number
    local -a functions=(stage_1_data stage_2_label stage_3_validate stage_4_select stage_5_train stage_6_decode
        stage_7_score stage_8_publish)
    for number in $(seq "${stage}" "${stop_stage}"); do
        "${functions[number - 1]}"
    done
    if [ ${#parsed[@]} -gt 0 ]; then
        printf '%s\0' "${parsed[@]}" | k2d parse || die "nothing was run; correct the options above, and --help lists all"
    fi
    mode=run
    if "${dry_run}"; then
        mode=print
        show_plan
    elif [ ${#parsed[@]} -gt 0 ]; then
        answer_questions
    fi
    for number in $(seq "${stage}" "${stop_stage}"); do
        if [ "${mode}" = print ]; then
            printf '\n# Stage %s: %s\n' "${number}" "${stage_names[number - 1]}"
        else
            log "Stage ${number}: ${stage_names[number - 1]}"
        fi
        "${functions[number - 1]}"
    done
    if [ "${mode}" = print ]; then
        printf '\n# A dry run: nothing was run.\n'
    else
        log "stages ${stage} to ${stop_stage} took $((SECONDS - start_time)) s"
        # What it has made: the best student, a command that uses it, the pages. Of stages 1 to 3 there is nothing to see.
        [ "${stop_stage}" -lt 4 ] || k2d next --models "${models[*]}" --test_sets "${test_sets}" || :
    fi
}
