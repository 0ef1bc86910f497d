#!/usr/bin/env bash
# The road from unlabelled recordings to a published student, in eight stages.
#
#   1 data preparation    local/data.sh           the corpus        -> data/<set>
#   2 teacher decoding    long-form, timestamps   data/<train_set>  -> data/<train_set>_<teacher>
#   3 auxiliary scoring   validator, distances    the chunks        -> exp/<…>/aux_<validator>
#   4 selection           keep where both agree   the scores        -> data/<…>_<selection>
#   5 student             build, train, average   the selection     -> exp/student_<tag>
#   6 decoding            every model             the test sets     -> exp/<model>/decode_<set>
#   7 scoring             error rates, tables     the hypotheses    -> RESULTS.md, exp/report
#   8 publishing          exports, parity, card   the student       -> exp/student_<tag>/publish
#
# A second run skips what is done with the same options, and makes anew what other options made. A stage that
# was killed goes on where it stopped. Options that only change speed (nj, ngpu, batch_size, …) redo nothing.
set -euo pipefail
readonly start_time=${SECONDS}

# What to run
stage=1
stop_stage=8

# Data
train_set=                # unlabelled recordings: data/<train_set>
dev_set=dev               # labelled, for choosing the student's epoch
test_sets=                # labelled; a name that ends in _long is decoded long-form, one text a recording
local_data_opts=          # passed on to local/data.sh
allow_pipes=false         # run commands that stand in wav.scp

# Models: a folder, a file, or a name that openai-whisper downloads (large-v2, base, …)
teacher=                  # writes the labels that the student learns
validator=                # a smaller model: where it hears otherwise, a label is doubtful

# Labels
max_chunk=30              # seconds
selection="full comp"     # full ngram mer per comp segment: each becomes its own student
selections=               # the same, by its plural name
alpha=0.4                 # keep where the distance is at most this
label_opts=               # passed on to k2d.bin.label
distance_opts=            # to k2d.bin.distance
select_opts=              # to k2d.bin.select
max_skipped=              # bad recordings a stage may leave out before it fails; empty: any number

# Student
student_tag=              # exp/student_<selection>, or exp/student_<student_tag>_<selection>
decoder_layers=first,last # of the teacher, which the student's decoder is made of
student_init=             # start from this model as it is, not from the teacher's layers; of the teacher's vocabulary
train_config=conf/train_student.yaml
train_opts=               # passed on to k2d.bin.train, ESPnet's options
nbest=3                   # epochs to average
init_weight=0             # weight of the untrained student in that average, against forgetting
store_encoder_out=false   # compute the frozen encoder's output once: for small models and small data
noisy_versions=0          # with it: versions of each chunk with noise added, beside the clean one
noise_snr=0,15            # dB, of these
cache_teacher=false       # compute the teacher's top k of every label token once; else it runs in training
topk=32

# Decoding
language=zh
beam_size=1
decode_untrained=false    # a row of the tables for the student before training: what distillation adds to its start
decode_opts=              # passed on to k2d.bin.decode
publish_opts=             # to k2d.bin.publish
timing_opts=              # to k2d.bin.speed
paper=                    # SET:COLUMN of the paper's table to show beside ours

# A dry run prints every command of the stages, with hours and disk for a corpus of this size, and runs none.
dry_run=false
train_hours=
dev_hours=0
test_hours=0              # of all test sets, each counted once
joined=true               # training recordings are copied in stage 1
speeds=                   # of a trial, "teacher:310 validator:2400" times real time, in place of assumptions

# How it runs
nj=auto                   # jobs of stages 2, 3 and 6, recordings split by duration; auto: one for each GPU, else one
                          # (on a CPU several are faster, as threads of one wait for each other's Python)
nj_encode=2               # threads of the frozen encoder on a CPU, each with an utterance of its own
side_by_side=1            # students, decodings and exports (stages 5, 6, 8) made at a time; on one machine they share
                          # its cores, and with --ngpu its GPUs, so that 1 is right there; on a cluster each is a job
ngpu=0
num_nodes=1               # of training; --ngpu is what each has
job_threads=              # cores of each of those jobs on a CPU; empty: as cmd.sh says
batch_size=0              # windows decoded together; 0: 32 on a GPU, 8 on a CPU
engine=auto               # auto, torch, ctranslate2
dtype=                    # empty: as the engine has it; bfloat16 decodes twice as fast on CPUs with AMX
seed=0
cmd_backend=local
python=python

# shellcheck source=egs/TEMPLATE/k2d1/path.sh
source ./path.sh
# shellcheck source=utils/parse_options.sh
source "${K2D_ROOT}/utils/parse_options.sh"

log() { printf '%s k2d.sh: %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*"; }
die() {
    log "$*" >&2
    exit 1
}

[ $# -eq 0 ] || die "unexpected argument '$1': every option has a name; --help lists them"
selection=${selections:-${selection}}
for option in train_set test_sets teacher validator selection; do
    [ -n "${!option}" ] || die "--${option} is needed; --help says what it is"
done

# A misspelt path must not be found after days of decoding.
[[ ${student_init} != */* ]] || [ -e "${student_init}" ] ||
    die "--student_init ${student_init}: no such file or folder; give a checkpoint, or a name such as base"
[ "${nj}" != auto ] || nj=$((ngpu > 1 ? ngpu : 1))
[[ ${nj} =~ ^[1-9][0-9]*$ ]] || die "--nj ${nj}: expected a number of jobs, or auto"
[[ ${side_by_side} =~ ^[1-9][0-9]*$ ]] || die "--side_by_side ${side_by_side}: expected a number"
# shellcheck source=egs/TEMPLATE/k2d1/cmd.sh
source ./cmd.sh

# tag_of MODEL: the name of a model in directory names: large-v2, or the last part of a path.
tag_of() { basename "$1" .pt; }

labelled="${train_set}_$(tag_of "${teacher}")"
chunks="data/${labelled}"
aux="exp/${labelled}/aux_$(tag_of "${validator}")"
student_prefix="exp/student_${student_tag:+${student_tag}_}"

# ------------------------------------------------------------------------------------ what is done, and how

# A directory that a stage makes holds .stage_options while it is made and .stage_done afterwards: the hash
# of all that decides its content, its options and the same hashes of what it was made from.

# facts PATH…: what changes when a file, a folder of a model or a stage's directory does.
facts() {
    local path
    for path in "$@"; do
        if [ -f "${path}/.stage_done" ]; then
            cat "${path}/.stage_done"
        elif [ -e "${path}" ]; then
            find -L "${path}" -maxdepth 1 -type f -printf '%f %s %T@\n' | sort
        else
            echo "${path}" # a published name
        fi
    done
}

# needs DIR WORD…: true if DIR is not yet made with these options; what other options left there is removed.
needs() {
    local dir=$1 hash
    shift
    hash=$(printf '%s\n' "$@" | sha256sum | cut -d ' ' -f 1)
    if [ "$(cat "${dir}/.stage_done" 2>/dev/null)" = "${hash}" ]; then
        log "${dir} is done, skipped"
        return 1
    fi
    if [ -e "${dir}/.stage_done" ] || { [ -e "${dir}/.stage_options" ] &&
        [ "$(cat "${dir}/.stage_options")" != "${hash}" ]; }; then
        log "${dir} was made with other options: made anew"
        # Decoded windows lie in work/ by what decides them: those that still hold, as where recordings were added,
        # are taken from there.
        find "${dir}" -mindepth 1 ! -path "${dir}/work" ! -path "${dir}/work/*" -delete
    fi
    mkdir -p "${dir}"
    echo "${hash}" >"${dir}/.stage_options"
}

finished() { mv "$1/.stage_options" "$1/.stage_done"; }

prepare_data() { "${data_cmd[@]}" local/data.sh "$@"; }

# encode DATA OUT OPTION…: the output of the teacher's encoder for every utterance of DATA, unless OUT holds it.
encode() {
    local data=$1 out=$2
    shift 2
    if needs "${out}" "$(facts "${data}" "${teacher}")" "$*"; then
        "${decode_cmd[@]}" "${alone_needs[@]}" "${out}/log/encode.log" "${python}" -m k2d.bin.encode \
            --model "${teacher}" --data "${data}" --output_dir "${out}" --device "${device}" \
            --nj "${nj_encode}" "$@"
        finished "${out}"
    fi
}

# frames_shape UTT2DUR OUT: ESPnet's shape file, in encoder frames.
frames_shape() { awk '{ printf "%s %d\n", $1, $2 * 50 }' "$1" >"$2"; }

local_score() { local/score.sh "$@"; }

# The main table on the terminal; the others stand in RESULTS.md.
show_table() { [ ! -e "$1" ] || cat "$1"; }

# together FUNCTION WORD…: run it, beside others where --side_by_side allows it. all_together waits for them and fails
# if one of them did, once all have ended.
one_failed=false
together() {
    if [ "${side_by_side}" -eq 1 ]; then
        "$@"
        return
    fi
    while [ "$(jobs -rp | wc -l)" -ge "${side_by_side}" ]; do
        wait -n || one_failed=true
    done
    (
        share_cores "${side_by_side}"
        "$@"
    ) &
}
all_together() {
    while [ -n "$(jobs -p)" ]; do
        wait -n || one_failed=true
    done
    ! "${one_failed}" || die "not all of this stage could be made; what was made is kept"
}

in_stages() { [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]; }

# ------------------------------------------------------------------------------------------ decoding in jobs

device=$([ "${ngpu}" -gt 0 ] && echo cuda || echo cpu)

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

# share_cores N: what runs from here on is one of N on this machine, and says little while it runs.
share_cores() {
    export RUN_QUIETLY=true
    [ "${cmd_backend}" = local ] || return 0
    OMP_NUM_THREADS=$((OMP_NUM_THREADS / $1 > 0 ? OMP_NUM_THREADS / $1 : 1))
    ask_for "${OMP_NUM_THREADS}" "$((OMP_NUM_THREADS / nj > 0 ? OMP_NUM_THREADS / nj : 1))"
}

# What decides a transcript, and what only decides how fast it comes.
transcript_opts=(--engine "${engine}" --beam_size "${beam_size}" --language "${language}" --seed "${seed}")
if [ -n "${dtype}" ]; then
    transcript_opts+=(--dtype "${dtype}")
fi
speed_opts=(--device "${device}" --batch_size "${batch_size}")
if [ -n "${max_skipped}" ]; then
    speed_opts+=(--max_skipped "${max_skipped}")
fi
pipes=()
if "${allow_pipes}"; then
    pipes=(--allow_pipes)
fi

# in_jobs COMMAND DATA OUT OPTION…: k2d.bin.COMMAND on DATA in nj jobs of equal duration, joined in OUT.
# Every job keeps what it has finished, so a killed one goes on from there.
in_jobs() {
    local name=$1 data=$2 out=$3
    local -a command
    shift 3
    command=("${python}" -m "k2d.bin.${name}" --data "${data}" --output_dir "${out}"
        "${transcript_opts[@]}" "${speed_opts[@]}" "${pipes[@]}" "$@")
    if [ "${nj}" -gt 1 ]; then
        "${decode_cmd[@]}" JOB="1:${nj}" "${job_needs[@]}" "${out}/log/${name}.JOB.log" \
            "${command[@]}" --num_jobs "${nj}" --job JOB
        "${cpu_cmd[@]}" "${out}/log/${name}.log" "${command[@]}" --num_jobs "${nj}"
    else
        "${decode_cmd[@]}" "${job_needs[@]}" "${out}/log/${name}.log" "${command[@]}"
    fi
}

# ------------------------------------------------------------------------------- what may be made side by side

# train_student NAME: the student of one selection, built, trained and averaged.
train_student() {
    local name=$1 kept student
    local -a inputs made_of teacher_opts processes
    kept="${chunks}_${name}"
    student="${student_prefix}${name}"
    log "Stage 5: student: ${kept} -> ${student}"
    if needs "${student}" "$(facts "${kept}" "${teacher}" "data/${dev_set}" "${train_config}")" "${seed}" \
        "${decoder_layers}" "${nbest}" "${init_weight}" "${train_opts}" "$(facts "${versions[@]}" "${topks[@]}")" \
        ${student_init:+"$(facts "${student_init}")"}; then
        made_of=(--decoder_layers "${decoder_layers}")
        if [ -n "${student_init}" ]; then
            made_of=(--init "${student_init}")
            ! "${store_encoder_out}" || made_of+=(--same_encoder)
        fi
        "${cpu_cmd[@]}" "${student}/log/init.log" "${python}" -m k2d.bin.init_student --teacher "${teacher}" \
            --output_dir "${student}/init" "${made_of[@]}"
        "${cpu_cmd[@]}" "${student}/log/tables.log" "${python}" -m k2d.bin.training_tables \
            --data "${kept}" --output_dir "${student}/data" "${table_opts[@]}"
        frames_shape "data/${dev_set}/utt2dur" "${student}/data/frames_shape.${dev_set}"
        inputs=()
        if "${store_encoder_out}"; then
            inputs+=("${student}/data/encoder_out.scp,encoder_out,rows")
        else
            inputs+=("${kept}/wav.scp,speech,utterances")
        fi
        if "${cache_teacher}"; then
            inputs+=("${student}/data/topk_ids.scp,topk_ids,rows")
            inputs+=("${student}/data/topk_log_probs.scp,topk_log_probs,rows")
        fi
        inputs+=("${student}/data/text,text,text")
        [ ! -e "${student}/data/text.prev" ] || inputs+=("${student}/data/text.prev,text_prev,text")
        [ ! -e "${student}/data/text.trusted" ] || inputs+=("${student}/data/text.trusted,text_trusted,text")
        teacher_opts=()
        "${cache_teacher}" || teacher_opts=(--teacher "${teacher}")
        # Otherwise ESPnet would spread one process over the GPUs, with one teacher for all of them. Processes
        # of several nodes find each other by the cluster's variables.
        processes=()
        [ "${ngpu}" -le 1 ] || processes=(--multiprocessing_distributed true)
        # shellcheck disable=SC2046,SC2086 # options, separated by blanks
        "${train_cmd[@]}" --gpu "${ngpu}" --num_nodes "${num_nodes}" \
            "${student}/log/train.log" "${python}" -m k2d.bin.train \
            --config "${train_config}" --student "${student}/init" "${teacher_opts[@]}" \
            $(printf -- '--train_data_path_and_name_and_type %s ' "${inputs[@]}") \
            --train_shape_file "${student}/data/frames_shape" \
            $(printf -- '--valid_data_path_and_name_and_type %s ' "${valid_inputs[@]}") \
            --valid_data_path_and_name_and_type "data/${dev_set}/text,text,text" \
            --valid_shape_file "${student}/data/frames_shape.${dev_set}" \
            --output_dir "${student}/train" --resume true --ngpu "${ngpu}" "${processes[@]}" --seed "${seed}" \
            ${train_opts}
        "${cpu_cmd[@]}" "${student}/log/average.log" "${python}" -m k2d.bin.average --exp "${student}/train" \
            --init "${student}/init" --init_weight "${init_weight}" --nbest "${nbest}" --criterion ce \
            --output_dir "${student}/average"
        finished "${student}"
    fi
}

# decode_set NAME:MODEL SET: one model's transcripts of one test set.
decode_set() {
    local row=$1 set=$2 out form
    out="exp/${row%%:*}/decode_${set}"
    log "Stage 6: decoding: ${row%%:*} on data/${set} -> ${out}"
    # Short-form is how a test set is cut; long-form, with no cuts given, is how a model is used.
    form=()
    if [[ ${set} == *_long ]]; then
        form=(--long_form)
    fi
    if needs "${out}" "$(facts "${row#*:}" "data/${set}")" "${transcript_opts[@]}" "${form[*]}" \
        "${decode_opts}"; then
        # shellcheck disable=SC2086
        in_jobs decode "data/${set}" "${out}" --model "${row#*:}" "${form[@]}" ${decode_opts}
        finished "${out}"
    fi
}

# publish_student NAME: exports of the student of one selection, checked.
publish_student() {
    local name=$1 student set
    student="${student_prefix}${name}"
    log "Stage 8: publishing: ${student} -> ${student}/publish"
    # An export that does not give the student's own transcripts fails here, not at its users.
    set=${test_sets%% *}
    if needs "${student}/publish" "$(facts "${student}" "${teacher}" "data/${set}")" "${publish_opts}"; then
        # shellcheck disable=SC2086
        "${cpu_cmd[@]}" "${student}/log/publish.log" "${python}" -m k2d.bin.publish \
            --model "${student}/average" --teacher "${teacher}" --data "data/${set}" \
            --output_dir "${student}/publish" --language "${language}" --train_data "${chunks}_${name}" \
            --selection "${name}" --labels "${chunks}_${name}/text" --results "${student}" \
            --teacher_results exp/teacher ${publish_opts}
        finished "${student}/publish"
    fi
}

if "${dry_run}"; then
    # shellcheck source=utils/dry_run.sh
    source "${K2D_ROOT}/utils/dry_run.sh"
fi

# ------------------------------------------------------------------------------------------------- the stages

if in_stages 1; then
    log "Stage 1: data preparation: the corpus -> data/{${train_set},${dev_set},${test_sets// /,}}"
    # Every set is checked here, because a broken table found in stage 5 has cost stages 2 to 4.
    if [ -x local/data.sh ]; then
        prepared_from=(local)
        [ ! -e db.sh ] || prepared_from+=(db.sh)
        if needs data/.prepared "${local_data_opts}" "${seed}" "$(facts "${prepared_from[@]}")"; then
            # shellcheck disable=SC2086 # options, separated by blanks
            prepare_data --seed "${seed}" --nj "${cpu_threads}" ${local_data_opts}
            finished data/.prepared
        fi
    else
        log "no local/data.sh: data/ is taken as it is"
    fi
    validate_data.py "data/${train_set}"
    for set in ${dev_set} ${test_sets}; do
        validate_data.py --text "data/${set}"
    done
fi

if in_stages 2; then
    log "Stage 2: teacher decoding: data/${train_set} -> ${chunks}"
    # Recordings are decoded whole, with timestamps and the text so far, since that is how the teacher is best;
    # the student learns from chunks of at most ${max_chunk} s, packed from the teacher's segments.
    if [ -f "${chunks}/.ready" ]; then
        log "${chunks} holds labels that came with the corpus: nothing is decoded"
    elif needs "${chunks}" "$(facts "${teacher}" "data/${train_set}")" "${transcript_opts[@]}" "${max_chunk}" \
        "${label_opts}"; then
        # shellcheck disable=SC2086
        in_jobs label "data/${train_set}" "${chunks}" --model "${teacher}" --max_chunk "${max_chunk}" \
            ${label_opts}
        validate_data.py "${chunks}"
        finished "${chunks}"
    fi
fi

if in_stages 3; then
    log "Stage 3: auxiliary scoring: ${chunks} -> ${aux}"
    # A small model that hears the same chunk errs in other places than the teacher: where the two differ much,
    # the label is doubtful. No reference is read.
    if needs "${aux}" "$(facts "${chunks}" "${validator}")" "${transcript_opts[@]}" "${distance_opts}"; then
        # shellcheck disable=SC2086
        in_jobs decode "${chunks}" "${aux}" --model "${validator}" --timestamps true ${decode_opts}
        # shellcheck disable=SC2086
        "${cpu_cmd[@]}" "${aux}/log/distance.log" "${python}" -m k2d.bin.distance --teacher "${chunks}/text" \
            --validator "${aux}/text" --data "${chunks}" --output_dir "${aux}" --nj "${cpu_threads}" \
            "${pipes[@]}" ${distance_opts}
        finished "${aux}"
    fi
fi

if in_stages 4; then
    for name in ${selection}; do
        kept="${chunks}_${name}"
        log "Stage 4: selection ${name}, alpha ${alpha}: ${aux} -> ${kept}"
        if needs "${kept}" "$(facts "${aux}")" "${name}" "${alpha}" "${select_opts}"; then
            # shellcheck disable=SC2086
            "${cpu_cmd[@]}" "${kept}/log/select.log" "${python}" -m k2d.bin.select --data "${chunks}" \
                --scores "${aux}" --output_dir "${kept}" --preset "${name}" --alpha "${alpha}" ${select_opts}
            validate_data.py "${kept}"
            finished "${kept}"
        fi
    done
fi

if in_stages 5; then
    stored="exp/${labelled}"
    valid_inputs=("data/${dev_set}/wav.scp,speech,utterances")
    versions=()
    if "${store_encoder_out}"; then
        # The encoder is the teacher's and stays as it is, so what it makes of a chunk is computed once, for all
        # students and epochs. Noisy versions come on top: the student hears worse audio than its labels came from.
        log "Stage 5: frozen encoder: ${chunks}, data/${dev_set} -> ${stored}/encoder_out*"
        for version in $(seq 0 "${noisy_versions}"); do
            out="${stored}/encoder_out${version}"
            versions+=("${out}")
            noise=()
            [ "${version}" -eq 0 ] || noise=(--noise_snr "${noise_snr}" --seed "$((seed + version))")
            encode "${chunks}" "${out}" "${noise[@]}"
        done
        out="${stored}/encoder_out_${dev_set}"
        encode "data/${dev_set}" "${out}"
        valid_inputs=("${out}/encoder_out.scp,encoder_out,rows")
        table_opts=(--encoder_out "${versions[@]}")
    else
        table_opts=()
    fi
    topks=()
    if "${cache_teacher}"; then
        log "Stage 5: teacher's opinion of every label token: ${chunks} -> ${stored}/teacher_topk"
        out="${stored}/teacher_topk"
        if needs "${out}" "$(facts "${chunks}" "${teacher}" "${train_config}")" "${topk}"; then
            encoder_out=()
            ! "${store_encoder_out}" || encoder_out=(--encoder_out "${versions[0]}")
            "${decode_cmd[@]}" "${alone_needs[@]}" "${out}/log/cache_teacher.log" "${python}" \
                -m k2d.bin.cache_teacher --teacher "${teacher}" --data "${chunks}" --output_dir "${out}" \
                --config "${train_config}" --k "${topk}" --device "${device}" "${encoder_out[@]}"
            finished "${out}"
        fi
        topks=("${out}")
        table_opts+=(--teacher_topk "${out}")
    fi
    for name in ${selection}; do
        together train_student "${name}"
    done
    all_together
fi

# Rows of the tables: name, and checkpoint.
models=("teacher:${teacher}" "validator:${validator}")
! "${decode_untrained}" || models+=("untrained:${student_prefix}${selection%% *}/init") # the same for all selections
for name in ${selection}; do
    models+=("$(basename "${student_prefix}${name}"):${student_prefix}${name}/average")
done

if in_stages 6; then
    for row in "${models[@]}"; do
        for set in ${test_sets}; do
            together decode_set "${row}" "${set}"
        done
    done
    all_together
    # Decoding times above depend on what else the machine did; these are taken in turns, in one process.
    set=${test_sets%% *}
    log "Stage 6: speed of generation: data/${set} -> exp/speed"
    checkpoints=("${models[@]#*:}")
    if needs exp/speed "$(facts "${checkpoints[@]}" "data/${set}")" "${transcript_opts[@]}" "${device}" \
        "${timing_opts}"; then
        # shellcheck disable=SC2086
        "${decode_cmd[@]}" "${alone_needs[@]}" exp/speed/log/speed.log "${python}" -m k2d.bin.speed \
            --models "${models[@]/:/=}" --data "data/${set}" --output_dir exp/speed --device "${device}" \
            --batch_size "${batch_size}" "${transcript_opts[@]}" ${timing_opts}
        finished exp/speed
    fi
fi

if in_stages 7; then
    log "Stage 7: scoring: exp/*/decode_* -> RESULTS.md, exp/report"
    # The only stage that reads references, among them, for the analysis of labels, those of the training set.
    made_from=("${aux}" exp/speed)
    for row in "${models[@]}"; do
        for set in ${test_sets}; do
            made_from+=("exp/${row%%:*}/decode_${set}" "data/${set}")
        done
    done
    [ -f RESULTS.md ] || rm -rf exp/report
    if needs exp/report "$(facts "${made_from[@]}")" "${models[*]}" "${paper}"; then
        for row in "${models[@]}"; do
            for set in ${test_sets}; do
                out="exp/${row%%:*}/decode_${set}"
                "${cpu_cmd[@]}" "${out}/log/score.log" "${python}" -m k2d.bin.score --ref "data/${set}/text" \
                    --hyp "${out}/text" --output_dir "${out}"
            done
        done
        analysis=()
        if [ -d "data/${train_set}/reference" ]; then
            analysis=(--reference "data/${train_set}/reference" --scores "validator:${aux}")
        fi
        selections=
        for name in ${selection}; do
            selections+="${name}:${chunks}_${name} "
        done
        # Here, for the table is shown on this terminal.
        "${python}" -m k2d.bin.report --exp exp --output RESULTS.md --models "${models[*]}" \
            --test_sets "${test_sets}" --train_data "${chunks}" --selections "${selections}" "${analysis[@]}" \
            --paper "${paper}"
        # What only this corpus has to report: more tables at the end of RESULTS.md.
        [ ! -x local/score.sh ] || local_score --output RESULTS.md --models "${models[*]}"
        finished exp/report
    fi
    show_table exp/report/table.txt
fi

if in_stages 8; then
    for name in ${selection}; do
        together publish_student "${name}"
    done
    all_together
fi

log "stages ${stage} to ${stop_stage} took $((SECONDS - start_time)) s"
