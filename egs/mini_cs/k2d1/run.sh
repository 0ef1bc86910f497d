#!/usr/bin/env bash
# mini_cs: all stages on a laptop's CPU, with a small synthetic code-switched corpus.
# Nothing to download: speech comes from espeak-ng, models from egs/mini_cs/pretrain1.
# ./run.sh --help lists every option; all of k2d.sh's work here, such as
#   ./run.sh --stage 4 --selection "full mer per comp" --alpha 0.3
set -euo pipefail
(cd "$(dirname "$0")/../../.." && [ -e utils/own_options.sh ]) ||
    { echo "run.sh: a recipe runs in a checkout of K2D, as egs/NAME/k2d1; copy this folder there" >&2 && exit 1; }
cd "$(dirname "$0")"
export K2D_COMMAND && K2D_COMMAND=$(printf '%s\n' "$0" "$@") # as typed, for RESULTS.md

# Options of this recipe. Hours of unlabelled lectures to synthesise.
lecture_hours=1
# 10: dev and test sets of sixty recordings and more than 1,200 utterances each, with new voices, and the monolingual
# test_mono.
test_scale=1
# When training stops (conf/stop_*.yaml; a suffix of the student's name). Empty: after a few updates; patience: on dev;
# updates, epochs: after the same number for every selection.
stop=
# The mini models were trained without previous text. The validator and test sets use higher temperatures for windows
# that loop; labels do not.
again="--condition_on_previous false --temperatures 0,0.4,0.8 --best_of 1"
# Train two students at a time, each on half of the cores.
train_threads=$(($(nproc) / 2 > 0 ? $(nproc) / 2 : 1))
ngpu=
# shellcheck source=utils/own_options.sh
source ../../../utils/own_options.sh
own_options lecture_hours test_scale stop ngpu -- "$@"
engine_of_small_models

config=conf/train_student.yaml nbest=2
if [ -n "${stop}" ]; then
    [ -f "conf/stop_${stop}.yaml" ] || { echo "run.sh: --stop ${stop}: expected patience, updates or epochs" >&2 && exit 2; }
    config+=" conf/stop_${stop}.yaml" nbest=5
fi
tests="test_in test_in_long test_out" data="--lecture_hours ${lecture_hours}"
if [ "${test_scale}" != 1 ]; then
    tests+=" test_mono" data+=" --sets lectures,dev,test_in,test_out,test_mono --test_scale ${test_scale}"
fi

# alpha: the validator makes more errors on these lectures than Whisper base on real ones, so 0.4 would keep only a
# fifth of the chunks. 0.8 keeps about the share that 0.4 keeps in the paper (comp: 74 %).
exec ./k2d.sh \
    --train_set lectures \
    --dev_set dev \
    --test_sets "${tests}" \
    --local_data_opts "${data}" \
    --train_hours "${lecture_hours}" --dev_hours 0.2 --test_hours 0.5 \
    --teacher ../pretrain1/models/teacher \
    --validator ../pretrain1/models/validator \
    --teacher_opts "--condition_on_previous false --temperatures 0" \
    --validator_opts "${again}" \
    --test_opts "${again}" \
    --selection "full comp" \
    --alpha 0.8 \
    --batch_size 16 \
    --engine "${engine}" \
    --store_encoder_out true --cache_teacher true --topk 512 \
    --train_config "${config}" --student_tag "${stop}" \
    --nbest "${nbest}" \
    --notes conf/notes_demo.md \
    --decode_untrained true \
    --side_by_side 2 --train_threads "${train_threads}" \
    -- "${options[@]}"
