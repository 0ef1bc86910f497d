#!/usr/bin/env bash
# NTUML2021: a machine learning course at National Taiwan University, in the paper's domain. The train split
# without its labels is the unlabelled speech; lectures are long recordings.
# Write the path of the corpus into db.sh, then:
#   ./run.sh                                  all stages, one student per row of the paper's table
#   ./run.sh --dry_run                        prints every command, time and disk; runs nothing
#   ./run.sh --selection "full comp" --stage 4
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
    --paper "test:NTUML2021 test_long:NTUML2021" \
    --train_hours 15 --dev_hours 2 --test_hours 9 \
    -- "$@"
