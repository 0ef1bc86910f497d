# shellcheck shell=bash disable=SC2034,SC2154 # reads k2d.sh's options and sets what its stages read
# k2d.sh's options, looked at before anything begins, and made into those of the stages' commands.
#
# In:  k2d.sh's options, parsed. Out: an end with a message, if no stage could use them; stage and stop_stage as numbers;
#      <name>_words, audio_opts, work_opts, engine_opts, model_opts, encoder_opts, config_opts, init_opts, threads_opts;
#      what cmd.sh sets.

[ -e ./cmd.sh ] || die "no cmd.sh in ${PWD}: change to the recipe's folder, cd $(dirname "$0"), or call its run.sh"
[ $# -eq 0 ] || die "unexpected argument '$1': a value follows its option, as in --recordings FOLDER; --help lists all"
set -f # an option's blanks separate words; its * and ? are no file names
for option in train_set dev_set test_sets student_tag validator revise selection alpha keep hours seed train_config \
    updates nj ngpu side_by_side paper speeds; do
    read -rd '' -a words <<<"${!option}" || :
    printf -v "${option}" '%s' "${words[*]}" # one blank between two
done
for option in train_set teacher validator selection alpha seed results nj ngpu side_by_side; do
    [ -n "${!option}" ] || die "--${option} is needed; --help says what it is"
done

for folder in data exp; do
    to=$(realpath -m "${folder}")
    [ ! -L "${folder}" ] || [ -e "${folder}" ] ||
        die "${folder} links to ${to}, which is not there; is its disk mounted? else mkdir -p ${to}"
    [ ! -e "${folder}" ] || [ -d "${folder}" ] || die "${folder}: a file where a folder is to be; move it away"
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
expect '[1-9][0-9]*|auto' 'a number of jobs, or auto' nj
# (With a 0 before it, a number would count in eights for bash.)
expect '0|[1-9][0-9]*|auto' 'a whole number, or auto' ngpu
expect '[1-9][0-9]*' 'a whole number, at least 1' side_by_side nj_encode num_nodes nbest topk job_threads train_threads
expect '0|[1-9][0-9]*' 'a whole number, without a 0 before it' noisy_versions batch_size seed data_seed max_skipped
expect '0?\.[0-9]+|1(\.0*)?' 'a share, above 0 and at most 1' keep
expect '[1-9][0-9]*|auto' 'a positive number of updates, or auto' updates
expect '[0-9]+(\.[0-9]*)?|\.[0-9]+' 'a number' alpha hours max_chunk init_weight train_hours dev_hours test_hours
expect 'warn|skip' 'warn or skip' damaged
expect '[^@/,=[:space:]]+(@[^@/,=[:space:]]+)?' 'a name from conf/selections, or NAME@ALPHA such as comp@0.3' selection
[[ ${selection} != *.rule* ]] ||
    die "--selection ${selection}: expected names; copy the file into conf/selections, and give its name without .rule"
expect '(_|[^[:punct:]])[^/:,=]*' 'a plain name, without / : , =, that begins with a letter, a digit or _' \
    train_set dev_set test_sets student_tag
for option in test_sets validator revise selection seed; do
    twice=$(tr -s '[:space:]' '\n' <<<"${!option}" | sort | uniq -d | head -n 1)
    [ -z "${twice}" ] || die "--${option}: ${twice} is given twice; give it once"
done
for option in validator revise train_config; do
    [[ ${!option} != *[[:space:]]* ]] || [ ! -e "${!option}" ] ||
        die "--${option} ${!option}: blanks separate several; give a link without blanks that points there"
done
[ -z "${keep}" ] || [ "${alpha}" = "${_default[alpha]%% *}" ] || log "--keep ${keep} takes the place of --alpha ${alpha}"
# without_effect OPTION WHY: end if it was given, that is, is not as the recipe has it.
without_effect() {
    [ "${!1}" = "${_default[$1]}" ] || die "--$1 ${!1}: $2"
}
"${store_encoder_out}" || without_effect noisy_versions "noisy versions are made only with --store_encoder_out true; give it, or leave this out"
"${store_encoder_out}" && [ "${noisy_versions}" -gt 0 ] ||
    without_effect noise_snr "is for --noisy_versions, and there are none; give --noisy_versions, or leave this out"
"${cache_teacher}" || without_effect topk "tokens are stored only with --cache_teacher true; give it, or leave this out"
[ -z "${student_init}" ] ||
    without_effect decoder_layers "--student_init ${student_init} is taken with all its layers; leave one of them out"
[ -z "${recordings}" ] && [ -x local/data.sh ] ||
    without_effect local_data_opts "options of local/data.sh, which this run does not call; leave them out"
[ "${num_nodes}" -eq 1 ] || [ "${cmd_backend}" != local ] ||
    die "--num_nodes ${num_nodes}: this is one machine; --cmd_backend slurm has more"
[ ! -f "${recordings}" ] || die "--recordings ${recordings}: a file; give its folder"
[ -z "${recordings}" ] || [ -d "${recordings}" ] ||
    die "--recordings ${recordings}: no such folder; give one with audio or video files in it or below"
[ -n "${recordings}" ] || [ -e local/data.sh ] || [ -e "data/${train_set}/wav.scp" ] || "${dry_run}" ||
    die "no recordings: give --recordings FOLDER, with audio or video files, or write data/${train_set}/wav.scp"
for option in dev_set test_sets; do
    for word in ${!option}; do
        if [ -f "data/${word}/audit.json" ]; then
            [ -f "data/${word}/text" ] ||
                die "--${option} ${word}: drawn, but nothing answered yet; k2d audit --output_dir data/${word} opens its page"
        elif [ -n "${recordings}" ] || [ ! -x local/data.sh ]; then # no stage makes them
            [ -e "data/${word}" ] || die "--${option} ${word}: no data/${word}; k2d audit makes a set, or write one there"
        fi
    done
done

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
[ "${stage}" -le "${stop_stage}" ] || die "--stage ${stage} comes after --stop_stage ${stop_stage}: nothing would be done"

# The words of an option that is passed on, split as a shell splits them: quotes hold words together.
for option in local_data teacher validator distance select train test score timing publish; do
    declare -n from="${option}_opts" into="${option}_words"
    mapfile -td '' into < <(printf '%s\n' "${from}" | xargs -r printf '%s\0' 2>/dev/null)
    wait $! || die "--${option}_opts: a quote is not closed: ${from}"
    unset -n from into
done

if [ "${ngpu}" = auto ]; then
    [ "${cmd_backend}" = local ] ||
        die "--ngpu auto counts the GPUs of this machine, and --cmd_backend ${cmd_backend} runs jobs on others: give a number"
    ngpu=$(PYTHONPATH="${K2D_ROOT}/utils" python3 -c 'import run; print(len(run.visible_gpus()))')
    [ "${ngpu}" -gt 0 ] ||
        log "no GPU here: models run on the CPU$("${dry_run}" || echo '; --dry_run says how long that takes')" >&2
fi
[ "${nj}" != auto ] || nj=$((ngpu > 1 ? ngpu : 1))
threads_opts=(--usual_threads)
[ "${train_threads}" = "${_default[train_threads]}" ] || threads_opts=(--num_threads)
# shellcheck source=egs/TEMPLATE/k2d1/cmd.sh
source ./cmd.sh
threads_opts+=("${train_threads}")
device=$([ "${ngpu}" -gt 0 ] && echo cuda || echo cpu)
audio_opts=(--damaged "${damaged}") # of every command that reads recordings
export K2D_DAMAGED=${damaged} # for local/data.sh: its copies hide what was damaged
! "${allow_pipes}" || audio_opts+=(--allow_pipes)
work_opts=("${audio_opts[@]}" ${max_skipped:+--max_skipped "${max_skipped}"})
engine_opts=(--engine "${engine}" --dtype "${dtype}" --language "${language}" --device "${device}"
    --batch_size "${batch_size}")
model_opts=("${engine_opts[@]}" --seed "${data_seed}")
encoder_opts=(--model "${teacher}" --device "${device}" --dtype "${dtype}" --nj "${nj_encode}" "${work_opts[@]}")
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
