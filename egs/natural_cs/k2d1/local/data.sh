#!/usr/bin/env bash
# Stage 1 of natural_cs: speak the corpus with natural voices -> data/{lectures,dev,test_in,test_in_long,test_out}.
# Options are those of local/speak.py (--lecture_hours, --seed_hours, --sets, --seed, --scale, --nj); what is there is
# not made again.
# Recordings keep one core each busy for about 0.7 of the time that they last.
set -euo pipefail

# shellcheck source=egs/TEMPLATE/k2d1/path.sh
source ./path.sh
if [ -z "${K2D_PARSE_ONLY:-}" ]; then # else local/speak.py parses its options, and no more is done
    python -c 'import onnxruntime' 2>/dev/null || "${K2D_ROOT}/tools/install.sh" --extra natural
    python local/fetch.py voices
fi
exec python local/speak.py --voices downloads/voices "$@"
