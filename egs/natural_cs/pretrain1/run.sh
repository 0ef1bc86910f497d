#!/usr/bin/env bash
# Retraining of the mini validator on natural voices: labelled speech by other mixtures of voices than the lectures', on
# all topics. The decoder of the result, models/validator, has learnt from other labels than the teacher of ../k2d1.
# About an hour on two cores: half of it makes speech, half trains.
set -euo pipefail
(cd "$(dirname "$0")/../../.." && [ -e utils/own_options.sh ]) ||
    { echo "run.sh: a recipe runs in a checkout of K2D, as egs/NAME/pretrain1; copy this folder there" >&2 && exit 1; }
cd "$(dirname "$0")"
source ../k2d1/path.sh

stage=1
stop_stage=4
seed=0
nj=2
seed_hours=1.0         # labelled speech
init=../../mini_cs/pretrain1/models/validator
epochs=10
iters=50               # updates an epoch
# shellcheck source=utils/parse_options.sh
source "${K2D_ROOT}/utils/parse_options.sh"
# shellcheck source=utils/signals.sh
source "${K2D_ROOT}/utils/signals.sh"
mini=../../mini_cs/pretrain1
# shellcheck source=egs/mini_cs/pretrain1/local/train.sh
source "${mini}/local/train.sh"

if [ "${stage}" -le 1 ] && [ "${stop_stage}" -ge 1 ]; then
    log "Stage 1: labelled speech -> data/{seed,seed_dev}"
    attend env -C ../k2d1 local/data.sh --output_dir ../pretrain1/data --sets seed_dev,seed --seed "${seed}" \
        --seed_hours "${seed_hours}" --nj "${nj}"
fi

if [ "${stage}" -le 2 ] && [ "${stop_stage}" -ge 2 ]; then
    log "Stage 2: windows labelled with timestamps -> data/{seed,seed_dev}_windows"
    for set in seed seed_dev; do
        python "${mini}/local/windows.py" --data "data/${set}" --output_dir "data/${set}_windows" --seed "${seed}" \
            --early 0.3
    done
fi

if [ "${stage}" -le 3 ] && [ "${stop_stage}" -ge 3 ]; then
    log "Stage 3: the frozen encoder's output -> exp/encoder_out/<set>"
    for set in seed seed_dev; do
        attend k2d encode --model "${init}" --data "data/${set}_windows" --nj "${nj}" \
            --output_dir "exp/encoder_out/${set}"
    done
    python "${mini}/local/join_tables.py" --output_dir exp/train data/seed_windows:exp/encoder_out/seed
    python "${mini}/local/join_tables.py" --output_dir exp/valid data/seed_dev_windows:exp/encoder_out/seed_dev
fi

if [ "${stage}" -le 4 ] && [ "${stop_stage}" -ge 4 ]; then
    log "Stage 4: validator -> models/validator"
    train_validator "${init}" exp/train "${epochs}"
    keep validator
fi
