#!/usr/bin/env bash
# From unlabelled recordings to a published student, in eight stages.
#
#   1 data      local/data.sh, or a folder   -> data/<set>
#   2 label     teacher, long-form, timed    -> data/<train>_<teacher>
#   3 validate  validator, distances         -> exp/<train>_<teacher>/<validator>
#   4 select    keep where both agree        -> data/<train>_<teacher>_<selection>
#   5 train     build, train, average, heads -> exp/student_<selection>
#   6 decode    all models, on the test sets -> exp/<model>/decode_<set>
#   7 score     error rates, tables          -> RESULTS.md, exp/report
#   8 publish   exports, parity, card        -> exp/student_<selection>/publish
#
# --stage and --stop_stage take a number or a name. A second run skips what is done and resumes what was interrupted. If
# options change, the old output is moved to .k2d/ beside it and comes back with the old options (k2d clean lists it).
# Several values of --selection, --alpha, --validator or --seed, quoted and separated by blanks, train several students.
# Options before a lone -- are a recipe's defaults; names of directories contain what differs from them.
# No transcripts are needed: without --dev_set and --test_sets, chunks are held out from training instead. k2d audit
# turns them into a test set in half an hour, which is never trained on (docs/auditing.md).
# shellcheck disable=SC2034,SC2154 # options are read, and names made, in utils/*.sh
set -euo pipefail
readonly start_time=${SECONDS}
export K2D_COMMAND
: "${K2D_COMMAND:=$(printf '%s\n' "$0" "$@")}" # unless run.sh has said what was typed

# What to run
stage=1                   # Begin with this stage: a number from 1 to 8, or its name.
stop_stage=8              # End with this stage.
dry_run=false             # Print every command and an estimate of time and disk; run nothing.

# Data
train_set=                # Name of the unlabelled recordings: data/<train_set>.
dev_set=                  # Labelled set that chooses the student's epoch; empty: held-out chunks with the best labels.
test_sets=                # Labelled sets; *_long: whole recordings; empty: held-out recordings, no error rates.
recordings=               # Folder of audio and video files to make data/<train_set> from, instead of local/data.sh.
local_data_opts=          # Options passed on to local/data.sh.
data_seed=0               # Seed for corpus generation, sampling and noise.
allow_pipes=false         # Allow commands (… |) in wav.scp.
damaged=warn              # Damaged recordings: warn reads the intact part, skip leaves them out.
max_skipped=              # Unusable recordings that a stage may skip before it fails; empty: any number.

# Models: a folder, a file, a name (large-v2), a Hugging Face id (OWNER/NAME), text:FILE, espnet:DIR, transformers:DIR
teacher=large-v2          # Model that writes the pseudo-labels for the student.
validator=base            # Smaller model(s); a label on which they disagree with the teacher is doubtful.
labels=                   # Existing labels instead of the teacher's: text:FILE, or text:FOLDER of subtitles.
revise=                   # Models whose transcripts may replace labels: students of an earlier run, validator, teacher.
teacher_opts=             # More options of k2d label.
validator_opts=           # More options of k2d decode for the validator and --revise.
language=zh               # Language code for all models and for training; auto: each model detects it.
engine=auto               # Decoding engine: torch, ctranslate2, or auto (ctranslate2 for int8, else torch).
dtype=auto                # Precision of decoding: float32, bfloat16, float16, int8, or auto: whatever is fastest here.
max_chunk=30              # Longest chunk in seconds, at most 30; a longer segment is a chunk by itself.

# Selection
selection="full comp"     # Names of files in conf/selections, or NAME@ALPHA: one student each.
alpha=0.4                 # Keep chunks with at most this distance, in selections without an @.
keep=                     # Share of the speech to keep, such as 0.75, instead of alpha; also NAME@keep0.75.
hours=                    # Hours of recordings to select from, such as "1.5 6" (nested subsets); empty: all.
distance_opts=            # More options of k2d distance.
select_opts=              # More options of k2d select.

# Student
student_tag=              # Suffix for the student's name, to tell your training options apart.
decoder_layers=first,last # Decoder layers of the teacher that the student gets.
student_init=             # Initial model instead of the teacher's layers; must share the teacher's vocabulary.
train_config=             # YAML files that override conf/train_student.yaml and those before them.
updates=                  # Number of updates, or auto: by the hours of training data; empty: as in the YAML.
train_opts=               # More options of k2d train, which are ESPnet's.
seed=0                    # Seed of training.
nbest=3                   # Best epochs to average.
init_weight=0             # Weight (0 to 1) of the untrained student in that average, against forgetting.
store_encoder_out=false   # Compute the frozen encoder's output once, for training and tests; small models and data.
noisy_versions=0          # With --store_encoder_out: noisy versions of each chunk, in addition to the clean one.
noise_snr=0,15            # Lowest and highest signal-to-noise ratio of the noisy versions, in dB.
cache_teacher=false       # Store the teacher's top-k probabilities; otherwise the teacher runs during training.
topk=32                   # Tokens to store per position with --cache_teacher.

# Tests
test_opts=                # More options of k2d decode for test sets.
beam_size=1               # Beam size for test sets; 1 is greedy.
decode_untrained=false    # Also evaluate the student before training.
score_opts=               # More options of k2d score.
timing_opts=              # More options of k2d speed.
paper=                    # SET:COLUMN: columns of the paper's table to show next to ours.
results=RESULTS.md        # File for the tables.
notes=                    # Markdown file to put before the tables.
publish_opts=             # More options of k2d publish.

# Size of the corpus, for a dry run
train_hours=              # Hours of unlabelled recordings; empty: those of --recordings, or of data/<train_set>.
dev_hours=0               # Hours of the set that chooses the epoch.
test_hours=0              # Hours of all test sets, each counted once.
joined=true               # Stage 1 copies the training recordings.
trial=                    # Recipe that has run on a few hours: use its measured speeds.
speeds=                   # Measured speeds in times real time: "teacher:310 validator:2400".

# How it runs; changing these repeats no work, except --train_threads on a CPU
nj=auto                   # Jobs for labelling and decoding; auto: one per GPU, or one.
nj_encode=2               # Utterances that the frozen encoder processes at a time on a CPU.
side_by_side=1            # Students, decodings and exports to run at a time; on one machine they share its cores.
ngpu=0                    # GPUs to use; 0 computes on the CPU; auto: all GPUs of this machine (local only).
num_nodes=1               # Nodes for training, each with --ngpu GPUs.
job_threads=              # Cores per job; empty: as in cmd.sh.
train_threads=            # Cores for training on a CPU (affects rounding); empty: as it was begun, or as in cmd.sh.
batch_size=0              # Windows per batch; 0: 32 on a GPU, 8 on a CPU.
cmd_backend=local         # Where commands run: local or slurm (cmd.sh).

# shellcheck source=egs/TEMPLATE/k2d1/path.sh
source "$(if [ -e ./path.sh ]; then echo .; else dirname "$0"; fi)/path.sh" # --help works from anywhere
# Names and checks ask what a recipe says of these, before they are given to it.
_defaults_of="teacher labels validator alpha seed"
_defaults_of+=" train_threads local_data_opts decoder_layers topk noisy_versions noise_snr"
# shellcheck source=utils/parse_options.sh
source "${K2D_ROOT}/utils/parse_options.sh"
! "${_options_ended}" || source "${K2D_ROOT}/utils/parse_options.sh"
# shellcheck source=utils/steps.sh
source "${K2D_ROOT}/utils/steps.sh"
# shellcheck source=utils/options.sh
source "${K2D_ROOT}/utils/options.sh"
# shellcheck source=utils/names.sh
source "${K2D_ROOT}/utils/names.sh"

# ------------------------------------------------------------------------------------------------------ the stages

# Only what is missing or changed is made, so a corpus may grow. k2d check looks at everything that later stages need
# (tables, recordings, models, disk), because a fault found in stage 5 would waste stages 2 to 4: its table says what
# would fail, what is left out, and what to do. It takes minutes: of long recordings only headers are read.
stage_1_data() {
    if [ -n "${recordings}" ]; then
        prepare_data k2d recordings --recordings "${recordings}" --output_dir "data/${train_set}" --nj "${cpu_threads}"
    elif [ -x local/data.sh ]; then
        prepare_data local/data.sh --seed "${data_seed}" --nj "${cpu_threads}" "${local_data_words[@]}"
    fi
    run_here k2d check --output_dir exp/check "${check_opts[@]}"
}

# The teacher works best on whole recordings, with timestamps and the previous text as prompt; the student learns from
# chunks of at most 30 s, packed from the teacher's segments. 60,000 h on four H100: three days, 4 TB; 8 M chunks.
stage_2_label() {
    step jobs label "data/${labelled}" --data "data/${train_set}" --model "${labels:-${teacher}}" \
        --max_chunk "${max_chunk}" "${model_opts[@]}" "${teacher_words[@]}"
    run_here validate_data.py "data/${labelled}"
}

# A small model makes other errors than the teacher on the same chunk: where the two differ much, the label is doubtful.
# No reference is read. 60,000 h: 18 h on four H100, distances included. With --revise, a chunk's label first becomes the
# transcript that the others contradict least.
stage_3_validate() {
    local decoded="exp/${labelled}/decode" revisers=()
    for each in "${transcribers[@]}"; do
        step jobs decode "${decoded}_$(tag_of "${each}")" --data "data/${labelled}" --model "${each}" --timestamps true \
            "${model_opts[@]}" "${validator_words[@]}"
    done
    for each in ${revise}; do
        revisers+=("${decoded}_$(tag_of "${each}")")
    done
    [ -z "${revise}" ] || step cpu revise "${chunks}" --data "data/${labelled}" --transcripts "${revisers[@]}"
    for each in ${validator}; do
        step cpu distance "${exp}/$(tag_of "${each}")" --teacher "${chunks}/text" --validator \
            "${decoded}_$(tag_of "${each}")/text" --data "${chunks}" --nj "${cpu_threads}" "${audio_opts[@]}" \
            "${distance_words[@]}"
    done
}

# Keep a chunk where δ(Ŷ, V̂) <= α. Kept at 0.4 in the paper: 55 % by mer, 61 % by per, 74 % by comp, 97 % by ngram.
# The explorer shows what other values of α would keep. 60,000 h: 5 min for each selection.
stage_4_select() {
    for each in ${validator}; do
        step cpu explore "${exp}/explorer_$(tag_of "${each}")" --data "${chunks}" \
            --scores "${exp}/$(tag_of "${each}")" --alpha "${alpha%% *}" ${audited[0]:+--audit "${audited[0]}"} \
            "${audio_opts[@]}"
    done
    # Chunks held out for tests are in no selection.
    ! "${holds_out}" || step cpu hold_out "${held_out}" --data "data/${labelled}" --scores "${scores_of_first}"
    for name in "${selected[@]}"; do
        step cpu select "${chunks}_${name}" --data "${chunks}" --scores "${exp}/$(tag_of "${validator_of[${name}]}")" \
            --selection "${selection_of[${name}]}${alpha_of[${name}]:+@${alpha_of[${name}]}}" "${not_to_select[@]}" \
            ${hours_of[${name}]:+--hours "${hours_of[${name}]}" --recordings "data/${train_set}"} "${select_words[@]}"
    done
    skip_small_selections
    warn_of_selections
}

# 0.8 · CE(label) + 1.0 · KL(teacher ‖ student), the encoder frozen. 120,000 updates of 256 chunks: 42 h on four H100
# for each student; mini_cs: 2 min each. Dev cross-entropy must fall below the untrained student's in the first epoch.
stage_5_train() {
    some_students
    [ "${stage}" -lt 5 ] || warn_of_selections
    # Of what all selections keep, some chunks are held out for choosing the epoch.
    [ -n "${dev_set}" ] ||
        step cpu hold_out "${dev_data}" --data "${chunks}" --scores "${scores_of_first}" "${kept_by_all[@]}"
    stored=() versions=()
    if "${store_encoder_out}"; then
        # The encoder is the teacher's and stays as it is, so its output is computed once for all students and
        # epochs. Noisy versions give the student worse audio than the labels were made from.
        local encoded="exp/${labelled}/encoder_out"
        for version in $(seq 0 "${noisy_versions}"); do
            noise=()
            [ "${version}" -eq 0 ] || noise=(--noise_snr "${noise_snr}" --seed "$((data_seed + version))")
            step alone encode "${encoded}${version}" --data "data/${labelled}" "${encoder_opts[@]}" "${noise[@]}"
            versions+=("${encoded}${version}")
        done
        # Chunks that are held out are among those already.
        [ -z "${dev_set}" ] || step alone encode "${encoded}_${dev_set}" --data "${dev_data}" "${encoder_opts[@]}"
        stored=(--encoder_out "${versions[@]}" --valid_encoder_out "${encoded}${dev_set:+_}${dev_set:-0}")
    fi
    if "${cache_teacher}"; then
        step alone cache_teacher "${exp}/teacher_topk" --teacher "${teacher}" --data "${chunks}" --k "${topk}" \
            --language "${language}" "${config_opts[@]}" --device "${device}" "${work_opts[@]}" \
            ${versions[0]:+--encoder_out "${versions[0]}"}
        stored+=(--teacher_topk "${exp}/teacher_topk")
    fi
    for name in "${students[@]}"; do
        in_background train_student "${name}"
    done
    wait_for_all
    record_models
}

train_student() {
    local student=exp/$1 kept
    kept="${chunks}_${trained_on[$1]}"
    step cpu init_student "${student}/init" --teacher "${teacher}" "${init_opts[@]}"
    step cpu training_tables "${student}/data" --data "${kept}" --valid_data "${dev_data}" "${not_to_learn[@]}" \
        "${stored[@]}" "${work_opts[@]}"
    step train train "${student}/train" --tables "${student}/data" --student "${student}/init" "${config_opts[@]}" \
        "${teacher_to_learn_from[@]}" ${updates:+--updates "${updates}"} --seed "${seed_of[$1]}" \
        --language "${language}" "${threads_opts[@]}" "${audio_opts[@]}" "${train_words[@]}"
    step cpu average "${student}/average" --exp "${student}/train" --init "${student}/init" \
        --init_weight "${init_weight}" --nbest "${nbest}" --criterion ce
    # The heads for word timestamps, chosen by the labels' segment times: 24 chunks, seconds for mini_cs.
    step alone align_heads "${student}/heads" --model "${student}/average" --data "${kept}" --language "${language}" \
        --device "${device}" "${audio_opts[@]}" ${versions[0]:+--encoder_out "${versions[0]}"}
}

# Short-form decodes the utterances of a test set; long-form decodes whole recordings, as in use and in the paper. On
# an H100 large-v2 decodes at 100 times real time, its student at 400.
stage_6_decode() {
    some_students
    [ "${stage}" -lt 6 ] || record_models
    for name in "${models[@]}"; do
        for set in ${tested}; do
            in_background decode_set "${name}" "${set}"
        done
    done
    wait_for_all
    # Decoding times above depend on the load of the machine; this measures all models in turns, in one process.
    step alone speed exp/speed --models "${models[@]}" --data "$(data_of "${tested%% *}")" --beam_size "${beam_size}" \
        "${engine_opts[@]}" "${audio_opts[@]}" "${timing_words[@]}"
}

decode_set() {
    local form=()
    [[ $2 != *_long ]] || form=(--long_form)
    ! "${store_encoder_out}" || form+=(--encoder_cache exp/encoder_cache)
    step jobs decode "exp/$1/decode_$2" --data "$(data_of "$2")" --model "${path_of[$1]}" --beam_size "${beam_size}" \
        "${form[@]}" "${model_opts[@]}" "${test_words[@]}"
}

# The only stage that reads references, including, for the analysis of labels, those of the training set. The paper's
# MER on COOLTEST: teacher 13.96, all labels 12.98, comp 11.44. Half a minute for each model and hour of tests.
stage_7_score() {
    some_students
    for name in "${models[@]}"; do
        for set in ${test_sets}; do
            step cpu score "exp/${name}/decode_${set}/score" --ref "data/${set}/text" --data "data/${set}" \
                --hyp "exp/${name}/decode_${set}/text" "${score_words[@]}"
        done
    done
    analysis=()
    # Without references: how far each model is from the teacher's labels and the validator's transcripts.
    [ -n "${test_sets}" ] || analysis+=(--held_out "${held_out}")
    if [ -d "data/${train_set}/reference" ]; then
        analysis+=(--reference "data/${train_set}/reference" "${score_dirs[@]}")
    elif [ ${#audited[@]} -gt 0 ]; then
        analysis+=(--audit "${audited[0]}" "${score_dirs[@]}")
    fi
    [ -z "${notes}" ] || analysis+=(--notes "${notes}")
    step here report exp/report --exp exp --results "${results}" --models "${models[*]}" --test_sets "${test_sets}" \
        --train_data "${chunks}" --paper "${paper}" --explorers "${explorers[*]}" "${audio_opts[@]}" \
        "${analysis[@]}"
    # More tables of this corpus, at the end of RESULTS.md.
    [ ! -x local/score.sh ] || run_here local/score.sh --output "${results}" --models "${models[*]}"
    run_here cat exp/report/table.txt
}

# An export that does not reproduce the student's transcripts fails here. 3 min a student; half the teacher's size.
stage_8_publish() {
    some_students
    for name in "${students[@]}"; do
        in_background step cpu publish "exp/${name}/publish" --record "exp/${name}" --teacher "${teacher}" \
            --data "$(data_of "${tested%% *}")" --language "${language}" "${audio_opts[@]}" "${publish_words[@]}"
    done
    wait_for_all
}

run_stages
