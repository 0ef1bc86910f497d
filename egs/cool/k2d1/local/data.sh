#!/usr/bin/env bash
# Stage 1 of COOL: the recordings that db.sh names → data/train, data/cool_{dev,test}[_long], and the test sets of
# the other three corpora as far as db.sh has them → data/{ntuml2021,cv,ascend}_test[_long].
# A second run makes only what changed.
# With K2D_PARSE_ONLY set, as k2d.sh sets it before its first stage, options are parsed and no more is done.
set -euo pipefail
# shellcheck source=egs/TEMPLATE/k2d1/path.sh
source ./path.sh
# shellcheck source=egs/TEMPLATE/k2d1/db.sh
source ./db.sh

nj=1
seed=0
subtitles=false # beside the recordings, to be their labels: --labels text:data/train/subtitles
# shellcheck source=utils/parse_options.sh
source "${K2D_ROOT}/utils/parse_options.sh"
[ $# -eq 0 ] || { echo "data.sh: unexpected argument '$1'; --help lists all options" >&2 && exit 2; }

python local/prepare.py --corpus "${COOL}" --dev "${COOL_DEV}" --test "${COOL_TEST}" --output_dir data --nj "${nj}" \
    --seed "${seed}" --subtitles "${subtitles}"

while read -r variable recipe prefix; do
    if [ -n "${!variable}" ]; then
        sets="test"
        # Something has to choose the epoch; the test sets must not.
        [ "${variable}" != NTUML2021 ] || [ -n "${COOL_DEV}" ] || sets="dev test"
        python "../../${recipe}/k2d1/local/prepare.py" --corpus "${!variable}" --counts "${COUNTS}" \
            --sets "${sets}" --prefix "${prefix}" --output_dir data --nj "${nj}" --seed "${seed}"
    fi
done <<'TABLE'
NTUML2021 ntuml2021 ntuml2021_
COMMONVOICE_ZH_TW commonvoice_zh_tw cv_
ASCEND ascend ascend_
TABLE
