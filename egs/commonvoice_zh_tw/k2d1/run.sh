#!/usr/bin/env bash
# Common Voice zh-TW (16 or later): read Mandarin of Taiwan, out of the paper's domain. Clips of one speaker,
# joined and without their sentences, are the unlabelled speech.
# Write the path of the release into db.sh, then:
#   ./run.sh                                  all stages, one student per row of the paper's table
#   ./run.sh --dry_run                        prints every command, time and disk; runs nothing
#   ./run.sh --selection "full comp" --stage 4
#   ./run.sh --local_data_opts "--train_from validated"    about 60 h instead of 6.6 for training
# ./run.sh --help lists every option of k2d.sh.
set -euo pipefail
(cd "$(dirname "$0")/../../.." && [ -e utils/own_options.sh ]) ||
    { echo "run.sh: a recipe runs in a checkout of K2D, as egs/NAME/k2d1; copy this folder there" >&2 && exit 1; }
cd "$(dirname "$0")"
export K2D_COMMAND && K2D_COMMAND=$(printf '%s\n' "$0" "$@") # as typed, for RESULTS.md

exec ./k2d.sh \
    --train_set train \
    --dev_set dev \
    --test_sets "test test_long" \
    --teacher large-v2 \
    --validator base \
    --selection "full ngram mer per comp" \
    --alpha 0.4 \
    --train_config conf/train_student.yaml \
    --ngpu auto \
    --paper "test:CV16 test_long:CV16" \
    --train_hours 6.6 --dev_hours 4.6 --test_hours 4.6 \
    -- "$@"
