#!/usr/bin/env bash
# Pre-training of the mini teacher and validator on labelled seed speech: decoders of eight and of two layers on
# the frozen encoder of the real Whisper tiny.en. The result, models/{teacher,validator}, is what
# egs/mini_cs/k2d1 starts from. About 50 minutes on two quiet cores.
set -euo pipefail
cd "$(dirname "$0")"
source ../k2d1/path.sh

stage=1
stop_stage=5
seed=0
nj=2
seed_hours=5           # labelled speech on the lectures' topics; everyday topics and speech with long pauses come
                       # on top, 0.3 of it each
vocab_size=1000
teacher_epochs=12      # first cycle: the lectures' topics
general_epochs=4       # second cycle: everyday topics beside a part of the first
pauses_epochs=3        # third cycle: the same and long pauses
validator_epochs=8
iters=50               # updates an epoch
# shellcheck source=utils/parse_options.sh
source "${K2D_ROOT}/utils/parse_options.sh"

log() { echo "$(date '+%Y-%m-%d %H:%M:%S') pretrain: $*"; }

if [ "${stage}" -le 1 ] && [ "${stop_stage}" -ge 1 ]; then
    log "Stage 1: labelled seed speech -> data/{seed,seed_general,seed_pauses,seed_dev}"
    python ../k2d1/local/synthesize.py --output_dir data --sets seed,seed_general,seed_pauses,seed_dev \
        --seed "${seed}" --seed_hours "${seed_hours}" --nj "${nj}"
fi

if [ "${stage}" -le 2 ] && [ "${stop_stage}" -ge 2 ]; then
    log "Stage 2: windows labelled with timestamps; untrained models -> exp/{teacher,validator}_init"
    for set in seed seed_general seed_dev; do
        python local/windows.py --data "data/${set}" --output_dir "data/${set}_windows" --seed "${seed}"
    done
    python local/windows.py --data data/seed_pauses --output_dir data/seed_pauses_windows --seed "${seed}" --early 0.3
    python local/windows.py --data data/seed --output_dir data/seed_part_windows --seed "${seed}" --max_hours 1.5
    python local/init_models.py --text data/seed/text --output_dir exp --vocab_size "${vocab_size}" --seed "${seed}"
fi

if [ "${stage}" -le 3 ] && [ "${stop_stage}" -ge 3 ]; then
    log "Stage 3: the frozen encoder's output, once for both models -> exp/encoder_out/<set>"
    for set in seed seed_general seed_pauses seed_dev; do
        python -m k2d.bin.encode --model exp/teacher_init --data "data/${set}_windows" --nj "${nj}" \
            --output_dir "exp/encoder_out/${set}"
    done
    seed_part=data/seed_windows:exp/encoder_out/seed
    general=data/seed_general_windows:exp/encoder_out/seed_general
    python local/join_tables.py --output_dir exp/train_cycle1 "${seed_part}"
    python local/join_tables.py --output_dir exp/train_cycle2 "${general}" "${seed_part}:data/seed_part_windows"
    pauses=data/seed_pauses_windows:exp/encoder_out/seed_pauses
    python local/join_tables.py --output_dir exp/train_cycle3 "${general}" "${pauses}" \
        "${seed_part}:data/seed_part_windows"
    python local/join_tables.py --output_dir exp/train_all "${general}" "${pauses}" "${seed_part}"
    python local/join_tables.py --output_dir exp/valid data/seed_dev_windows:exp/encoder_out/seed_dev
fi

# train NAME START TABLES EPOCHS MAX_LR OUTPUT OPTION…: ESPnet's trainer on stored encoder output, one cycle of
# the learning rate; the best epoch, in float16.
train() {
    local name=$1 start=$2 tables=$3 epochs=$4 max_lr=$5 output=$6
    shift 6
    python -m k2d.bin.train --config conf/train_teacher.yaml --student "${start}" \
        --train_data_path_and_name_and_type "${tables}/encoder_out.scp,encoder_out,rows" \
        --train_data_path_and_name_and_type "${tables}/text,text,text" \
        --train_shape_file "${tables}/frames_shape" \
        --valid_data_path_and_name_and_type "exp/valid/encoder_out.scp,encoder_out,rows" \
        --valid_data_path_and_name_and_type "exp/valid/text,text,text" \
        --valid_shape_file exp/valid/frames_shape \
        --max_epoch "${epochs}" --num_iters_per_epoch "${iters}" \
        --scheduler_conf total_steps="$((epochs * iters + 1))" --scheduler_conf max_lr="${max_lr}" \
        --seed "${seed}" --ngpu 0 --resume true --output_dir "exp/${name}" "$@"
    python -m k2d.bin.average --exp "exp/${name}" --init "${start}" --nbest 1 --half --output_dir "${output}"
}

if [ "${stage}" -le 4 ] && [ "${stop_stage}" -ge 4 ]; then
    log "Stage 4: teacher, in three cycles -> models/teacher"
    train teacher_cycle1 exp/teacher_init exp/train_cycle1 "${teacher_epochs}" 6.0e-4 exp/teacher_cycle1_best
    train teacher_cycle2 exp/teacher_cycle1_best exp/train_cycle2 "${general_epochs}" 3.0e-4 exp/teacher_cycle2_best
    train teacher_cycle3 exp/teacher_cycle2_best exp/train_cycle3 "${pauses_epochs}" 2.0e-4 models/teacher
fi

if [ "${stage}" -le 5 ] && [ "${stop_stage}" -ge 5 ]; then
    # Its self-attention stays tiny.en's, which keeps the stored model small.
    log "Stage 5: validator -> models/validator"
    train validator exp/validator_init exp/train_all "${validator_epochs}" 6.0e-4 models/validator \
        --model_conf layer_drop=0.0 --model_conf ends_only=0.0 \
        --freeze_param student.decoder.blocks.0.attn --freeze_param student.decoder.blocks.1.attn
fi
