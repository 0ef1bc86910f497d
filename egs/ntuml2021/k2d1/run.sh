#!/usr/bin/env bash
# NTUML2021: a machine learning course at National Taiwan University, in the paper's domain. The train split
# without its labels is the unlabelled speech; lectures are long recordings.
# Write into db.sh where the corpus lies, then:
#   ./run.sh                                  all stages, one student for each row of the paper's table
#   ./run.sh --dry_run                        every command, with hours and disk, and nothing run
#   ./run.sh --selections "full comp" --stage 4
# ./run.sh --help lists every option of k2d.sh.
set -euo pipefail
cd "$(dirname "$0")"

# All GPUs of this machine; 0 decodes and trains on the CPU, which suits mini models only.
ngpu=$(nvidia-smi --list-gpus 2>/dev/null | grep -c ^GPU || true)

./k2d.sh \
    --train_set train \
    --dev_set dev \
    --test_sets "test test_long" \
    --teacher large-v2 \
    --validator base \
    --selection "full ngram mer per comp" \
    --alpha 0.4 \
    --train_config conf/train_student.yaml \
    --ngpu "${ngpu}" \
    --paper "test:NTUML2021 test_long:NTUML2021" \
    --train_hours 15 --dev_hours 2 --test_hours 9 \
    -- "$@"
