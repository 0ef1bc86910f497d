#!/usr/bin/env bash
# Stage 1 of Common Voice zh-TW: the release that db.sh names → data/{train,dev,dev_long,test,test_long}.
# Options are those of local/prepare.py (--train_from validated, --sets, --counts, --nj, …); a second run makes
# only what changed.
# With K2D_PARSE_ONLY set, as k2d.sh sets it before its first stage, options are parsed and no more is done.
set -euo pipefail
# shellcheck source=egs/TEMPLATE/k2d1/path.sh
source ./path.sh
# shellcheck source=egs/TEMPLATE/k2d1/db.sh
source ./db.sh
exec python local/prepare.py --corpus "${COMMONVOICE_ZH_TW}" --counts "${COUNTS}" --output_dir data "$@"
