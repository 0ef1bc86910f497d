#!/usr/bin/env bash
# Pre-training of the mini teacher and validator on labelled seed speech: two decoders on the frozen encoder
# of the real Whisper tiny.en. The result, models/{teacher,validator}, is what egs/mini_cs/k2d1 starts from.
# About 50 minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")"
source ../k2d1/path.sh

stage=1
stop_stage=6
seed=0
nj=2
seed_hours=5          # labelled speech for the teacher
validator_hours=1.5   # of it for the validator
vocab_size=1000
teacher_epochs=12
validator_epochs=5
iters=50              # updates an epoch
source "${K2D_ROOT}/utils/parse_options.sh"

log() { echo "$(date '+%Y-%m-%dT%H:%M:%S') $*"; }

if [ "${stage}" -le 1 ] && [ "${stop_stage}" -ge 1 ]; then
    log "Stage 1: labelled seed speech → data/seed, data/seed_dev"
    python ../k2d1/local/synthesize.py --output_dir data --sets seed,seed_dev \
        --seed "${seed}" --seed_hours "${seed_hours}" --nj "${nj}"
fi

if [ "${stage}" -le 2 ] && [ "${stop_stage}" -ge 2 ]; then
    log "Stage 2: windows labelled with timestamps; untrained models → exp/{teacher,validator}_init"
    python local/windows.py --data data/seed --output_dir data/teacher_train --seed "${seed}"
    python local/windows.py --data data/seed --output_dir data/validator_train --seed "${seed}" \
        --max_hours "${validator_hours}"
    python local/windows.py --data data/seed_dev --output_dir data/seed_dev_windows --seed "${seed}"
    python local/init_models.py --text data/seed/text --output_dir exp --vocab_size "${vocab_size}" --seed "${seed}"
fi

if [ "${stage}" -le 3 ] && [ "${stop_stage}" -ge 3 ]; then
    log "Stage 3: the frozen encoders' output, once → exp/encoder_out/<model>/<set>"
    for model in teacher validator; do
        for set in "${model}_train" seed_dev_windows; do
            python -m k2d.bin.encode --model "exp/${model}_init" --data "data/${set}" --nj "${nj}" \
                --output_dir "exp/encoder_out/${model}/${set}"
        done
    done
fi

# train <model> <epochs>: ESPnet's trainer on stored encoder output, one cycle of the learning rate.
train() {
    local model=$1 epochs=$2 train_out="exp/encoder_out/$1/$1_train" valid_out="exp/encoder_out/$1/seed_dev_windows"
    python -m k2d.bin.train --config conf/train_teacher.yaml --student "exp/${model}_init" \
        --train_data_path_and_name_and_type "${train_out}/encoder_out.scp,encoder_out,rows" \
        --train_data_path_and_name_and_type "data/${model}_train/text,text,text" \
        --train_shape_file "data/${model}_train/frames_shape" \
        --valid_data_path_and_name_and_type "${valid_out}/encoder_out.scp,encoder_out,rows" \
        --valid_data_path_and_name_and_type "data/seed_dev_windows/text,text,text" \
        --valid_shape_file "data/seed_dev_windows/frames_shape" \
        --max_epoch "${epochs}" --num_iters_per_epoch "${iters}" \
        --scheduler_conf total_steps="$((epochs * iters + 1))" \
        --seed "${seed}" --ngpu 0 --resume true --output_dir "exp/train_${model}"
    python -m k2d.bin.average --exp "exp/train_${model}" --init "exp/${model}_init" --nbest 1 --half \
        --output_dir "models/${model}"
}

if [ "${stage}" -le 4 ] && [ "${stop_stage}" -ge 4 ]; then
    log "Stage 4: teacher → models/teacher"
    train teacher "${teacher_epochs}"
fi

if [ "${stage}" -le 5 ] && [ "${stop_stage}" -ge 5 ]; then
    log "Stage 5: validator → models/validator"
    train validator "${validator_epochs}"
fi
