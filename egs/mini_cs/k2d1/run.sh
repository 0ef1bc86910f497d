#!/usr/bin/env bash
# mini_cs: the whole road on a laptop's CPU, in a small synthetic code-switched world.
# Nothing is downloaded by hand: speech comes from espeak-ng, models from egs/mini_cs/pretrain1.
# ./run.sh --help lists every option; all of k2d.sh's work here, such as
#   ./run.sh --stage 4 --selection "full mer per comp" --alpha 0.3
set -euo pipefail
cd "$(dirname "$0")"

# The recipe's own options. Hours of unlabelled lectures to make: the student wants many, decoding takes time.
lecture_hours=1.5
# 10: dev and tests of sixty recordings and more than 1,200 texts each, by new voices, and test_mono, one language alone.
test_scale=1
# When training stops: after a few updates (empty: the demonstration), by patience on dev, after the same number of
# updates for every selection, or after the same number of epochs (conf/stop_*.yaml; a tag in the student's name).
stop=
# The mini models have learnt to decode without the text before a window. Labels are decoded once, chunks by the
# validator and test sets again at higher temperatures where they loop.
again="--condition_on_previous false --temperatures 0,0.4,0.8 --best_of 1"
# Two students are trained at a time, each with its share of the cores.
train_threads=$(($(nproc) / 2 > 0 ? $(nproc) / 2 : 1))
# On a CPU the faster one for models this small; CTranslate2 wants an older CUDA than torch brings.
engine=ctranslate2
options=()
while [ $# -gt 0 ]; do
    case "$1" in
        --lecture_hours=*) lecture_hours=${1#*=} && shift ;;
        --lecture_hours) lecture_hours=${2:?--lecture_hours needs a number} && shift 2 ;;
        --test_scale=*) test_scale=${1#*=} && shift ;;
        --test_scale) test_scale=${2:?--test_scale needs a number} && shift 2 ;;
        --stop=*) stop=${1#*=} && shift ;;
        --stop) stop=${2:?--stop needs patience, updates or epochs} && shift 2 ;;
        --ngpu=*) set -- --ngpu "${1#*=}" "${@:2}" ;;
        --ngpu)
            [ "${2:?--ngpu needs a number}" = 0 ] || engine=torch
            options+=("$1" "$2") && shift 2
            ;;
        *) options+=("$1") && shift ;;
    esac
done

config=conf/train_student.yaml nbest=2
if [ -n "${stop}" ]; then
    [ -f "conf/stop_${stop}.yaml" ] || { echo "run.sh: --stop ${stop}: expected patience, updates or epochs" >&2 && exit 2; }
    config+=" conf/stop_${stop}.yaml" nbest=5
fi
tests="test_in test_in_long test_out" data="--lecture_hours ${lecture_hours}"
if [ "${test_scale}" != 1 ]; then
    tests+=" test_mono" data+=" --sets lectures,dev,test_in,test_out,test_mono --test_scale ${test_scale}"
fi

# alpha: the validator errs more on these noisy lectures than Whisper base on real ones, so that 0.4 would keep a
# third of the chunks. 0.8 keeps about the share that 0.4 keeps in the paper (comp: 74 %), and on dev its student is
# the better one.
./k2d.sh \
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
