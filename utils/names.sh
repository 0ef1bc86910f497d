# shellcheck shell=bash disable=SC2034,SC2154 # reads k2d.sh's options and sets what its stages read
# Names of selections, students and directories: whatever tells two results apart is in a name where it is not the
# default, so that they can lie side by side.
#
# In:  k2d.sh's options. Out: transcribers, labelled, exp, chunks, selected, students, models (the rows of the tables), and
#      what is known of each: selection_of, alpha_of, validator_of, hours_of, trained_on, seed_of, path_of.

# tag_of MODEL: its name in directory names: large-v2, the last part of a path, of "text:a/subtitles" subtitles; with _
# for what separates words in options.
tag_of() {
    local name
    name=$(basename "${1#*:}" .pt)
    printf '%s' "${name//[[:space:],=]/_}"
}
# is MODEL OTHER: whether directory names would not tell them apart; where they are two, the steps' keys do.
is() { [ "$(tag_of "$1")" = "$(tag_of "$2")" ]; }
declare -A named_as=()
transcribers=() # of the chunks, each once
for each in ${revise} ${validator}; do
    name=$(tag_of "${each}")
    [ -n "${named_as[${name}]:-}" ] || transcribers+=("${each}")
    : "${named_as[${name}]:=${each}}"
    [ "${named_as[${name}]}" = "${each}" ] ||
        die "--validator${revise:+, --revise}: ${named_as[${name}]} and ${each} would share the name ${name} and its directories; rename one (a link will do)"
done
# rule_of SELECTION: the file of a selection, the recipe's own or the shared one.
rule_of() {
    local folder
    for folder in conf/selections "${K2D_ROOT}/conf/selections"; do
        [ ! -e "${folder}/$1.rule" ] || { printf '%s' "${folder}/$1.rule" && return; }
    done
}
# uses_alpha SELECTION: whether its rule speaks of α, so that several α give several selections.
uses_alpha() { [ -n "$(rule_of "$1")" ] && sed 's/#.*//' "$(rule_of "$1")" | grep -qw alpha; }

# The labels as stage 2 writes them, and those that are selected from: the same, or revised by other models.
labelled="${train_set}_$(tag_of "${labels:-${teacher}}")" revised=
for each in ${revise}; do
    revised+="${revised:++}$(tag_of "${each}")"
done
revised=${revised:+_by_${revised}}
exp="exp/${labelled}${revised}" chunks="data/${labelled}${revised}"
selected=() students=()
earlier=() # students of the labels before they were revised: in the tables beside those that are trained now
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
            [ "${at}" = none ] || [ "${at}" = "${_default[alpha]%% *}" ] || name+="@${at}"
            [ "${at}" = none ] || is "${each}" "${_default[validator]%% *}" || name+="_$(tag_of "${each}")"
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
                    is "${teacher}" "${_default[teacher]}" || student+="_$(tag_of "${teacher}")"
                    is "${labels}" "${_default[labels]}" || student+="_$(tag_of "${labels:-${teacher}}")"
                    of_seed=
                    [ "${number}" = "${_default[seed]%% *}" ] || of_seed="_seed${number}"
                    if [ -n "${revised}" ] && [ -f "exp/${student}${of_seed}/model.json" ]; then
                        earlier+=("${student}${of_seed}")
                        path_of[${student}${of_seed}]="exp/${student}${of_seed}/average"
                    fi
                    student+=${revised}${of_seed}
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
is "${teacher}" "${_default[teacher]}" || teacher_name="teacher_$(tag_of "${teacher}")"
models=()
[[ ${teacher} == text:* ]] || models+=("${teacher_name}") # transcripts of the lectures say nothing of the test sets
path_of[${teacher_name}]=${teacher}
declare -A validator_name
score_dirs=() explorers=()
for each in ${validator}; do
    name=validator
    is "${each}" "${_default[validator]%% *}" || name="validator_$(tag_of "${each}")"
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
models+=("${earlier[@]}" "${students[@]}")

# What stages 2 to 8 need, for stage 1 to look at.
check_opts=(--train_data "data/${train_set}" ${dev_set:+--dev_data "data/${dev_set}"})
for set in ${test_sets}; do
    check_opts+=(--test_data "data/${set}")
done
check_opts+=("${work_opts[@]}" --teacher "${teacher}")
for each in ${validator}; do
    check_opts+=(--validator "${each}")
done
for each in ${revise}; do
    check_opts+=(--revise "${each}")
done
check_opts+=(${labels:+--labels "${labels}"} ${student_init:+--student_init "${student_init}"} --language "${language}"
    --decoder_layers "${decoder_layers}" "${config_opts[@]}" --students "${students[@]}" --batch_size "${batch_size}"
    --side_by_side "${side_by_side}" --stop_stage "${stop_stage}")
! "${store_encoder_out}" || check_opts+=(--encoder_out $((noisy_versions + 1)))
[[ " ${teacher_words[*]} " != *" --no_copy "* ]] || check_opts+=(--no_copy)
if [ "${cmd_backend}" = local ]; then
    check_opts+=(--ngpu "${ngpu}")
else
    check_opts+=(--elsewhere)
fi

# What is kept from training where no set is labelled.
held_out="data/${labelled}_held_out" # the same for revised labels, so that rounds can be compared
dev_data="${chunks}_dev"
tested=${test_sets:-held_out}
scores_of_first="${exp}/$(tag_of "${validator%% *}")"
not_to_select=() not_to_learn=() kept_by_all=()
# Chunks that k2d audit drew for a test or dev set of this run are never learnt; nor, with such a test set, are the chunks
# held out before, since it was drawn from them. An audit that the run does not name retrains no student.
audited=() drawn=()
holds_out=false
[ -n "${test_sets}" ] || holds_out=true
for set in ${test_sets} ${dev_set}; do
    [ -f "data/${set}/audit.json" ] || continue
    # Labels of these chunks are then measured, too; the set may also be another corpus's.
    of=$(python3 -c 'import json, os, sys; print(os.path.realpath(json.load(open(sys.argv[1]))["data"]))' \
        "data/${set}/audit.json") || die "data/${set}/audit.json: not what k2d audit writes; let it draw again"
    for each in "data/${labelled}" "${chunks}" "${held_out}"; do
        [ -f "data/${set}/text" ] && [ "$(realpath -m "${each}")" = "${of}" ] || continue
        audited+=("data/${set}")
        break
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
    [[ ${mode} =~ ^(run|look)$ ]] || return 0 # else what is there may be made anew
    for name in "${selected[@]}"; do
        [ -s "${chunks}_${name}/too_few.txt" ] || continue
        small[${name}]=yes
        why=$(<"${chunks}_${name}/too_few.txt")
        log "no student of ${name}: ${why}. The explorer shows what every alpha keeps:" \
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

# warn_of_selections: those that keep next to nothing, and those that keep the same labels and train equal students.
warn_of_selections() {
    local number other one two table
    [ "${mode}" = run ] || return 0
    for number in "${!selected[@]}"; do
        one="${chunks}_${selected[number]}/few.txt"
        [ ! -s "${one}" ] || log "warning: ${selected[number]}: $(<"${one}")"
        for other in "${selected[@]:number + 1}"; do
            one="${chunks}_${selected[number]}" two="${chunks}_${other}"
            [ -f "${one}/text" ] || continue
            for table in text segments text.trusted utt2weight; do
                [ -f "${one}/${table}" ] || [ -f "${two}/${table}" ] || continue
                cmp -s "${one}/${table}" "${two}/${table}" || continue 2
            done
            log "${selected[number]} and ${other} keep the same $(wc -l <"${one}/text") chunks, so students of the" \
                "same seed are equal: change --alpha, --keep or --hours, or leave one out of --selection"
        done
    done
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
            --seed "${seed_of[${student}]}" --data "${chunks}_${name}" ${student_tag:+--tag "${student_tag}"} \
            ${revised:+--revised_by "${revised#_by_}"}
    done
}
