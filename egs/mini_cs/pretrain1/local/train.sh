# shellcheck shell=bash
# Training of small models' decoders on stored encoder output: sourced by pretrain1/run.sh of mini_cs and of natural_cs.
# In: seed; iters, updates an epoch; exp/valid, tables of the dev set (join_tables.py). Source utils/signals.sh first.
# shellcheck disable=SC2154 # what run.sh has set

# SpecAugment over the encoder's output: 50 frames a second, 384 channels.
masks="{apply_time_warp: false, apply_freq_mask: true, freq_mask_width_range: [0, 40], num_freq_mask: 2,
    apply_time_mask: true, time_mask_width_range: [0, 30], num_time_mask: 10}"

log() { echo "$(date '+%Y-%m-%d %H:%M:%S') pretrain: $*"; }

# train NAME INIT DATA EPOCHS MAX_LR OPTION…: ESPnet's trainer from the model INIT on the tables in DATA, one cycle of the
# learning rate; exp/NAME_best is the best epoch, in float16.
train() {
    local name=$1 init=$2 data=$3 epochs=$4 max_lr=$5
    shift 5
    attend k2d train --config "${BASH_SOURCE[0]%/*}/../conf/train.yaml" --student "${init}" \
        --train_data_path_and_name_and_type "${data}/encoder_out.scp,encoder_out,rows" \
        --train_data_path_and_name_and_type "${data}/text,text,text" \
        --train_shape_file "${data}/frames_shape" \
        --valid_data_path_and_name_and_type exp/valid/encoder_out.scp,encoder_out,rows \
        --valid_data_path_and_name_and_type exp/valid/text,text,text \
        --valid_shape_file exp/valid/frames_shape \
        --max_epoch "${epochs}" --num_iters_per_epoch "${iters}" \
        --scheduler_conf total_steps="$((epochs * iters + 1))" --scheduler_conf max_lr="${max_lr}" \
        --seed "${seed}" --ngpu 0 --output_dir "exp/${name}" "$@"
    k2d average --exp "exp/${name}" --init "${init}" --nbest 1 --half --output_dir "exp/${name}_best"
}

# train_validator INIT DATA EPOCHS: exp/validator_best. Self-attention and the queries of cross-attention stay tiny.en's,
# which keeps the stored model small.
train_validator() {
    local layer layers frozen=()
    layers=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["dims"]["n_text_layer"])' "$1/config.json")
    for ((layer = 0; layer < layers; layer++)); do
        frozen+=("student.decoder.blocks.${layer}.attn" "student.decoder.blocks.${layer}.cross_attn.query")
    done
    train validator "$1" "$2" "$3" 6.0e-4 --model_conf specaug="${masks}" --freeze_param "${frozen[@]}"
}

# keep NAME: exp/NAME_best becomes models/NAME.
keep() {
    mkdir -p "models/$1"
    cp "exp/$1_best"/{config.json,model.safetensors,tokenizer.model} "models/$1"
}
