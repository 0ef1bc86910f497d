#!/usr/bin/env bash
# COOL: the paper's own experiment. Any tree of course recordings is the unlabelled speech (the paper: 60,000 h);
# the students are tested on COOL and on the other three corpora, as far as db.sh names them.
#   ./run.sh                                  all stages, one student per row of the paper's table
#   ./run.sh --dry_run                        prints every command, time and disk for 60,000 h; runs nothing
#   ./run.sh --labels subtitles               .srt and .vtt next to the recordings instead of the teacher
# ./run.sh --help lists every option of k2d.sh.
set -euo pipefail
(cd "$(dirname "$0")/../../.." && [ -e utils/own_options.sh ]) ||
    { echo "run.sh: a recipe runs in a checkout of K2D, as egs/NAME/k2d1; copy this folder there" >&2 && exit 1; }
cd "$(dirname "$0")"
export K2D_COMMAND && K2D_COMMAND=$(printf '%s\n' "$0" "$@") # as typed, for RESULTS.md
# shellcheck source=egs/TEMPLATE/k2d1/db.sh
source ./db.sh

labels=teacher
# shellcheck source=utils/own_options.sh
source ../../../utils/own_options.sh
own_options labels -- "$@"
dry_run=false
if is_on dry_run || is_on help; then
    dry_run=true
fi
case "${labels}" in
    teacher) ;;
    subtitles) options=(--local_data_opts "--subtitles true" --labels text:data/train/subtitles "${options[@]}") ;;
    *) options=(--labels "${labels}" "${options[@]}") ;;
esac

# Test sets that db.sh names (a dry run shows all), and their columns in the paper's table.
missing='is not tested'
! "${dry_run}" || missing='would not be tested; the dry run shows it anyway'
test_sets='' paper='' dev_set=''
[ -z "${COOL_DEV}" ] || dev_set=cool_dev
while read -r variable set column; do
    if [ -n "${!variable}" ] || "${dry_run}"; then
        test_sets+="${set}_test ${set}_test_long "
        paper+="${set}_test:${column} ${set}_test_long:${column} "
    fi
    [ -n "${!variable}" ] || is_on help || echo "run.sh: db.sh has no ${variable}: ${column} ${missing}" >&2
done <<<"COOL_TEST cool COOLTEST
NTUML2021 ntuml2021 NTUML2021
COMMONVOICE_ZH_TW cv CV16
ASCEND ascend ASCEND"
if [ -z "${dev_set}" ] && { [ -n "${NTUML2021}" ] || "${dry_run}"; }; then
    dev_set=ntuml2021_dev
fi
if [ -z "${test_sets}" ] || [ -z "${dev_set}" ]; then
    echo "run.sh: db.sh needs a test set, and COOL_DEV or NTUML2021 for choosing the epoch" >&2
    exit 1
fi

exec ./k2d.sh \
    --train_set train --dev_set "${dev_set}" --test_sets "${test_sets% }" --paper "${paper% }" \
    --teacher large-v2 --validator base \
    --selection "full ngram mer per comp" --alpha 0.4 \
    --ngpu auto --nbest 5 \
    --train_hours 60000 --dev_hours 5 --test_hours 20 --joined false \
    -- "${options[@]}"
