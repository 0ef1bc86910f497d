#!/usr/bin/env bash
# Stage 1 of mini_cs: speak the corpus with espeak-ng → data/{lectures,dev,test_in,test_in_long,test_out,test_mono}.
# Options are those of local/synthesize.py (--output_dir, --sets, --seed, --lecture_hours, --seed_hours, --scale,
# --test_scale, --nj); a second run makes only what is missing. About 30 seconds an hour of speech on two cores.
# With K2D_PARSE_ONLY set, as k2d.sh sets it before its first stage, options are parsed and no more is done.
set -euo pipefail

# A relative --output_dir means the caller's folder, so we stay in it.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${K2D_ROOT:-}" ] && [ -f "${here}/../path.sh" ]; then
    # shellcheck source=/dev/null
    source "${here}/../path.sh"
fi
exec python "${here}/synthesize.py" "$@"
