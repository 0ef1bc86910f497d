#!/usr/bin/env bash
# After stage 7's tables: ASCEND's own, by language label and by topic → end of RESULTS.md.
# Options: --output RESULTS.md --models "teacher student_comp" (as k2d.sh calls it)
set -euo pipefail
# shellcheck source=egs/TEMPLATE/k2d1/path.sh
source ./path.sh
exec python local/score_groups.py --data data/test --exp exp "$@"
