#!/usr/bin/env bash
# Pre-training of the mini teacher and validator on labelled seed speech: decoders of eight and of two layers on
# the frozen encoder of the real Whisper tiny.en. The result, models/{teacher,validator}, is what
# egs/mini_cs/k2d1 starts from. About an hour and a half on two cores.
#
# A part of the speech is labelled as captions of the web are, by a captioner of its own for each model
# (local/captions.py; README.md says why and how much), because that is what makes Whisper fail as it does.
#
# The teacher's first and last decoder layer are trained on their own first, and the inner layers are put between
# them afterwards: what a student of these two layers starts from then is a recogniser already. Whisper large-v2
# needs no such care, because its students see 60,000 hours; the mini student sees one or two.
set -euo pipefail
(cd "$(dirname "$0")/../../.." && [ -e utils/own_options.sh ]) ||
    { echo "run.sh: a recipe runs in a checkout of K2D, as egs/NAME/pretrain1; copy this folder there" >&2 && exit 1; }
cd "$(dirname "$0")"
source ../k2d1/path.sh

stage=1
stop_stage=6
seed=0
nj=2
seed_hours=5           # labelled speech on the lectures' topics; everyday topics and speech with long pauses come
                       # on top, 0.3 of it each
weak_hours=3           # of speech under captions, for the teacher and as much for the validator; 0: none
captions=              # other shares of their faults, e.g. "--translated 0.5 --repeated 0"
vocab_size=1000
ends_epochs=28
teacher_epochs=10
validator_epochs=10
validator_layers=0,1   # of tiny.en's decoder: a validator of another size, e.g. 0 or 0,1,2,3
iters=50               # updates an epoch
# shellcheck source=utils/parse_options.sh
source "${K2D_ROOT}/utils/parse_options.sh"
# shellcheck source=utils/signals.sh
source "${K2D_ROOT}/utils/signals.sh"
# shellcheck source=egs/mini_cs/pretrain1/local/train.sh
source local/train.sh

captioners=(a b) # whose captions the teacher is trained on, and the validator
[ "${weak_hours}" != 0 ] || captioners=()

if [ "${stage}" -le 1 ] && [ "${stop_stage}" -ge 1 ]; then
    log "Stage 1: labelled seed speech -> data/{seed,seed_general,seed_pauses,seed_dev}, captions -> data/seed_weak_*"
    attend python ../k2d1/local/synthesize.py --output_dir data --sets seed,seed_general,seed_pauses,seed_dev \
        --seed "${seed}" --seed_hours "${seed_hours}" --nj "${nj}"
    for captioner in "${captioners[@]}"; do
        attend python ../k2d1/local/synthesize.py --output_dir data --sets "seed_weak_${captioner}" \
            --seed "${seed}" --weak_hours "${weak_hours}" --nj "${nj}"
        # shellcheck disable=SC2086  # options, parted at blanks
        python local/captions.py --data "data/seed_weak_${captioner}" --captioner "${captioner}" \
            --output_dir "data/captions_${captioner}" ${captions}
    done
fi

if [ "${stage}" -le 2 ] && [ "${stop_stage}" -ge 2 ]; then
    log "Stage 2: windows labelled with timestamps; untrained models -> exp/{ends,validator}_init"
    for set in seed seed_general seed_dev; do
        python local/windows.py --data "data/${set}" --output_dir "data/${set}_windows" --seed "${seed}"
    done
    # Windows that open in the pause before their first word, as those of long-form decoding do.
    texts=(data/seed/text)
    for set in seed_pauses "${captioners[@]/#/captions_}"; do
        python local/windows.py --data "data/${set}" --output_dir "data/${set}_windows" --seed "${seed}" --early 0.3
        [ "${set}" = seed_pauses ] || texts+=("data/${set}/text")
    done
    python local/init_models.py --text "${texts[@]}" --output_dir exp --vocab_size "${vocab_size}" --seed "${seed}" \
        --validator_layers "${validator_layers}"
fi

if [ "${stage}" -le 3 ] && [ "${stop_stage}" -ge 3 ]; then
    log "Stage 3: the frozen encoder's output, once for all models -> exp/encoder_out/<set>"
    parts=()
    for set in seed seed_general seed_pauses seed_dev "${captioners[@]/#/captions_}"; do
        attend k2d encode --model exp/ends_init --data "data/${set}_windows" --nj "${nj}" \
            --output_dir "exp/encoder_out/${set}"
        case "${set}" in seed|seed_general|seed_pauses) parts+=("data/${set}_windows:exp/encoder_out/${set}") ;; esac
    done
    for captioner in a b; do
        weak=()
        [ "${weak_hours}" = 0 ] ||
            weak=("data/captions_${captioner}_windows:exp/encoder_out/captions_${captioner}")
        python local/join_tables.py --output_dir "exp/train_${captioner}" "${parts[@]}" "${weak[@]}"
    done
    python local/join_tables.py --output_dir exp/valid data/seed_dev_windows:exp/encoder_out/seed_dev
fi

if [ "${stage}" -le 4 ] && [ "${stop_stage}" -ge 4 ]; then
    log "Stage 4: the teacher's first and last decoder layer -> exp/ends_best"
    train ends exp/ends_init exp/train_a "${ends_epochs}" 8.0e-4
fi

if [ "${stage}" -le 5 ] && [ "${stop_stage}" -ge 5 ]; then
    log "Stage 5: teacher, with six layers between them -> models/teacher"
    # The two layers know the seed speech by heart: SpecAugment and stochastic depth, as in Whisper large-v2, give the
    # new ones something to learn.
    python local/stack.py --model exp/ends_best --layers 8 --output_dir exp/teacher_init
    train teacher exp/teacher_init exp/train_a "${teacher_epochs}" 4.0e-4 --model_conf specaug="${masks}" \
        --model_conf layer_drop=0.1 --model_conf ends_only=0.25
    keep teacher
fi

if [ "${stage}" -le 6 ] && [ "${stop_stage}" -ge 6 ]; then
    log "Stage 6: validator -> models/validator"
    train_validator exp/validator_init exp/train_b "${validator_epochs}"
    keep validator
fi
