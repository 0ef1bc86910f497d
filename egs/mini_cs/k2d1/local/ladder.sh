#!/usr/bin/env bash
# Does a student of filtered labels have a lower error rate, and from how many hours on? The demo is too small to tell.
#
#   1 labels     18 h of lectures, large tests; labels, validator, distances   -> data, exp/lectures_teacher
#   2 share      how much comp and fused keep, by MER on dev, one rung, once   -> exp/ladder/share
#   3 rungs      students of 1.5, 6 and 18 h, three seeds each                 -> exp/student_patience_*
#   4 stops      the middle rung again, by the same updates and same epochs    -> exp/student_{updates,epochs}_*
#   5 ablations  the middle rung: weights, losses, timestamps, validators;
#                the top one: averaged with the student before training        -> exp/student_*
#   6 report     tables, aims, figure                          -> LADDER.md, ABLATIONS.md, FORGETTING.md, docs/ladder.svg
#
# ./local/ladder.sh --dry_run true prints what would run, and about how many hours it takes. Every part calls run.sh, which
# skips finished steps, so the same command resumes. A rung is a number of hours of lectures; rungs are nested and share
# labels, distances, encoder output and teacher probabilities. Options after a lone -- go to every run.sh.
# --miniature true is a quick test of the script on minutes of speech.
# shellcheck disable=SC2086 # lists of words are split on purpose
set -euo pipefail
cd "$(dirname "$0")/.."
export K2D_COMMAND && K2D_COMMAND=$(printf '%s\n' "$0" "$@") # as typed, for LADDER.md

part=1
stop_part=6
dry_run=false
rungs="1.5 6 18"          # hours of lectures; the last is what is synthesised
middle=6                  # the rung of parts 2, 4 and 5
seeds="0 1 2"
test_scale=10
selections="full comp segment fused"      # on every rung
more_selections="ngram mer per"           # on the middle one
shares="0.75 0.5"         # of the speech, that selections may keep
stops="updates epochs"
weighted="weighted@keep0.95"   # selections that weigh labels in place of dropping them, on the middle rung
ablations="kl ce no_timestamps prompts"   # files of conf/ablations, each on comp
init_weights=0.5          # shares of the student before training in the students of the top rung: run.sh --init_weight
validators="untrained sampled oracle"   # in place of the validator: folders of models, and untrained (the student before
                                  # training), sampled (the teacher's own second decoding, at temperature 0.4) and oracle
                                  # (the lectures' true texts: more than any validator can know, a bound to the filter)
test_sets="test_in test_in_long test_out test_mono"
figure=../../../docs/ladder.svg
miniature=false
# For the estimate, two cores: seconds of an update and of what surrounds a training; times real time of making speech, of
# labels, of the validator, of encoding and caching, of a student's decoding.
seconds_an_update=0.6
seconds_a_training=45
updates=800               # until dev stops improving, on average
speeds="120 43 60 30 150"

# shellcheck source=egs/TEMPLATE/k2d1/path.sh
source ./path.sh
# shellcheck source=utils/parse_options.sh
source "${K2D_ROOT}/utils/parse_options.sh"
# shellcheck source=utils/signals.sh
source "${K2D_ROOT}/utils/signals.sh"
more=("$@")

die() {
    printf 'ladder.sh: %s\n' "$*" >&2
    exit 2
}
log() { printf '%s ladder.sh: %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*"; }
for option in part stop_part; do
    [[ ${!option} =~ ^[1-6]$ ]] || die "--${option} ${!option}: expected a number from 1 to 6"
done
if "${miniature}"; then
    rungs="0.02 0.05" middle=0.05 seeds="0 1" test_scale=1 shares="0.9 0.5" selections="full comp" more_selections=
    stops=updates weighted=weighted ablations=ce init_weights=0.5 validators=sampled updates=2 figure=exp/ladder/ladder.svg test_sets="test_in test_out"
    more+=(--local_data_opts "--lecture_hours 0.05 --sets lectures,dev,test_in,test_out --scale 0.1"
        --train_opts "--max_epoch 2 --num_iters_per_epoch 1 --use_tensorboard false --use_matplotlib false"
        --side_by_side 2 --train_threads 1)
fi
top=${rungs##* }
[[ " ${selections} " == *" comp "* ]] || die "--selections ${selections}: expected comp among them; its share is that of all"
[[ " ${rungs} " == *" ${middle} "* ]] || die "--middle ${middle}: expected one of the rungs, ${rungs}"

# run OPTION…: run.sh with what all parts share. Speed is measured once, in part 6.
run() {
    local -a command=(./run.sh --lecture_hours "${top}" --test_scale "${test_scale}" --test_sets "${test_sets}"
        --results exp/ladder/last.md --notes "" --timing_opts "--rounds 1 --max_seconds 5" "$@" "${more[@]}")
    if "${dry_run}"; then
        printf '   '
        printf ' %q' "${command[@]}"
        printf '\n'
    else
        mkdir -p exp/ladder
        attend "${command[@]}"
    fi
}
# train TAG CONFIG… -- OPTION…: students of a tag; CONFIG are files of conf/, over the student's.
train() {
    local tag=$1 configs=conf/train_student.yaml
    shift
    while [ "$1" != -- ]; do
        configs+=" conf/$1.yaml"
        shift
    done
    run --stage 4 --stop_stage 7 --student_tag "${tag}" --train_config "${configs}" --nbest 5 --seed "${seeds}" "${@:2}"
}
# at_share SELECTION…: each with the share that part 2 chose for it, others with comp's.
at_share() {
    local name chosen comp
    chosen=$(cat exp/ladder/share 2>/dev/null) || { "${dry_run}" && chosen="comp@keepSHARE fused@keepSHARE"; } ||
        die "exp/ladder/share is not there: run part 2 first"
    comp=$(printf '%s\n' ${chosen} | sed -n 's/^comp@//p')
    for name in "$@"; do
        case ${name} in
            full | ngram) printf '%s ' "${name}" ;;
            *) printf '%s ' "$(printf '%s\n' ${chosen} | grep "^${name}@" || printf '%s@%s' "${name}" "${comp}")" ;;
        esac
    done
}
count() { echo $#; }
# Selections whose share part 2 chooses.
selections_with_a_share() { printf '%s\n' ${selections} | grep -x -e comp -e fused | paste -sd ' '; }

part_1_labels() {
    run --stage 1 --stop_stage 3
}

part_2_share() {
    local wanted
    wanted=$(selections_with_a_share)
    # The first seed alone, and dev in place of the tests; part 3 goes on with the students of the chosen share.
    seeds=${seeds%% *} test_sets=dev train patience stop_patience -- --hours "${middle}" --keep "${shares}" \
        --selection "${wanted}" --decode_untrained false
    "${dry_run}" || {
        chosen=$(python local/choose_share.py --tag patience --hours "${middle}" --selections "${wanted}" \
            --notes exp/ladder/shares.md)
        printf '%s\n' "${chosen}" >exp/ladder/share
        log "Shares by dev: ${chosen}"
    }
}

part_3_rungs() {
    local each
    for each in ${rungs}; do # one after another, so that a rung has its results before the next one begins
        train patience stop_patience -- --hours "${each}" --selection "$(at_share ${selections})"
    done
    [ -z "${more_selections}" ] ||
        train patience stop_patience -- --hours "${middle}" --selection "$(at_share ${more_selections})"
}

part_4_stops() {
    for each in ${stops}; do
        train "${each}" "stop_${each}" -- --hours "${middle}" --selection "$(at_share ${selections})"
    done
}

part_5_ablations() {
    [ -z "${weighted}" ] || train patience stop_patience -- --hours "${middle}" --selection "${weighted}"
    for each in ${ablations}; do
        train "${each}" stop_patience "ablations/${each}" -- --hours "${middle}" --selection "$(at_share comp)"
    done
    for each in ${validators}; do
        path=${each} decoded=()
        case ${each} in
            untrained) path=exp/ladder/untrained ;;
            sampled) path=exp/ladder/sampled decoded=(--validator_opts "--condition_on_previous false --temperatures 0.4") ;;
            oracle) path=text:exp/ladder/oracle/oracle decoded=(--validator_opts "") ;;
        esac
        "${dry_run}" || link_validator "${each}"
        train patience stop_patience -- --hours "${middle}" --selection "$(at_share comp)" --stage 3 \
            --validator "${path}" "${decoded[@]}"
    done
    for each in ${init_weights}; do
        "${dry_run}" || copy_trainings "init${each}"
        train "init${each}" stop_patience -- --hours "${top}" --selection "$(at_share ${selections})" \
            --init_weight "${each}"
    done
}

# copy_trainings TAG: what part 3 has trained on the top rung, under another tag; only the average is another one. What is
# there stays: k2d train moves aside what other options made.
copy_trainings() {
    local from to name
    for from in exp/student_patience_*_"${top}"h*; do
        to=${from/patience/$1}
        [ -f "${from}/train/step.json" ] && [ ! -e "${to}/train" ] || continue
        rm -rf "${to}.tmp" # of a run that was killed
        mkdir -p "${to}.tmp" "${to}"
        cp -a --reflink=auto "${from}"/{init,data,train} "${to}.tmp"
        for name in init data train; do
            [ -e "${to}/${name}" ] || mv "${to}.tmp/${name}" "${to}"
        done
        rm -rf "${to}.tmp"
    done
}

# link_validator NAME: the free validators under names of their own, since a name is what tells students apart.
link_validator() {
    local first
    case $1 in
        untrained)
            first=$(find exp -maxdepth 2 -path 'exp/student_patience_*/init' | LC_ALL=C sort | head -n 1) # all are equal
            [ -n "${first}" ] || die "no student is there yet: run part 3 first"
            ln -sfn "../../${first}" exp/ladder/untrained
            ;;
        sampled) ln -sfn ../../../pretrain1/models/teacher exp/ladder/sampled ;;
        oracle)
            mkdir -p exp/ladder/oracle
            ln -sfn ../../../data/lectures/reference/text exp/ladder/oracle/oracle
            ln -sfn ../../../data/lectures/reference/segments exp/ladder/oracle/segments
            ;;
    esac
}

# students main|ablations|forgetting: folders of the students of a report, by what their records say, that have been scored.
students() {
    python - "$1" "${middle}" "patience ${stops}" "${ablations}" "$(cat exp/ladder/share)" \
        "${test_sets%% *}" "${top}" <<'PYTHON'
import sys
from pathlib import Path
from k2d.score.scored import RESULT, score_dir
from k2d.work.models import MODEL, read_record

report, middle, tags, ablations = sys.argv[1], float(sys.argv[2]), sys.argv[3].split(), sys.argv[4].split()
chosen = dict(each.split("@") for each in sys.argv[5].split())  # shares, by selection
test_set, top = sys.argv[6], float(sys.argv[7])
for path in sorted(Path("exp").glob(f"student_*/{MODEL}")):
    if not (score_dir(Path("exp"), path.parent.name, test_set) / RESULT).exists():
        continue
    record = read_record(path.parent)
    usual = record.validator in (None, "validator")
    base = record.tag == "patience" and record.selection in ("full", "comp", "fused", "weighted")
    if report == "forgetting":
        wanted = record.hours == top and (record.tag == "patience" or str(record.tag).startswith("init"))
    elif report == "main":  # other shares were tried in part 2
        usual &= record.keep is None or f"keep{record.keep:g}" == chosen.get(record.selection, chosen.get("comp"))
        usual &= record.selection != "weighted"
        wanted = usual and record.tag in tags
    else:
        wanted = record.hours == middle and (base or record.tag in ablations)
    if wanted:
        print(path.parent.name)
PYTHON
}

part_6_report() {
    if "${dry_run}"; then
        printf '    k2d report … --results LADDER.md --figure %s; k2d report … --results ABLATIONS.md, FORGETTING.md\n' "${figure}"
        return
    fi
    local -a known=(teacher validator untrained) main ablated mixed measured
    mapfile -t main < <(students main)
    mapfile -t ablated < <(students ablations)
    mapfile -t mixed < <(students forgetting)
    [ ${#main[@]} -gt 0 ] || die "no student has been scored yet: run parts 3 and 4 first"
    # One student of each row: what a model generates in a second does not depend on what it has learnt.
    mapfile -t measured < <(printf '%s\n' "${main[@]}" | grep -v _seed)
    log "Speed of ${#measured[@]} students, in turn"
    attend k2d speed --models "${known[@]}" "${measured[@]}" --data "data/${test_sets%% *}" --output_dir exp/ladder/speed \
        --max_seconds "$("${miniature}" && echo 5 || echo 60)" --engine ctranslate2 --batch_size 16 --language zh
    { cat conf/notes_ladder.md && cat exp/ladder/shares.md; } >exp/ladder/notes.md
    report exp/ladder/report "Does a filter win, and from how many hours on?" LADDER.md "${known[@]}" "${main[@]}"
    [ -z "${weighted}${ablations}${validators}" ] ||
        report exp/ladder/report_ablations "Ablations on the rung of ${middle} h" ABLATIONS.md "${known[@]}" "${ablated[@]}"
    [ -z "${init_weights}" ] ||
        report exp/ladder/report_forgetting "Averaged with the student before training" FORGETTING.md \
            "${known[@]}" "${mixed[@]}"
}
# report DIR TITLE RESULTS MODEL…
report() {
    attend k2d report --exp exp --output_dir "$1" --title "$2" --results "$3" --models "${*:4}" --test_sets "${test_sets}" \
        --train_data data/lectures_teacher --reference data/lectures/reference --notes exp/ladder/notes.md \
        --scores validator:exp/lectures_teacher/validator --speed exp/ladder/speed/speed.json --figure "${figure}"
}

# ------------------------------------------------------------------------------------------------------- the plan

# hours NUMBER STUDENTS: what a part takes.
hours() {
    local audio=0 number averaged
    number=$(count ${test_sets})
    averaged=$(($(count ${init_weights}) * $(count ${seeds}) * $(count ${selections}))) # in part 5, without a training
    # Tests: 1.5 h each of test_out and test_mono, 2.3 h of test_in and of the same recordings long, at test_scale 10.
    audio=$(awk -v n="${number}" -v s="${test_scale}" 'BEGIN { print n * 1.9 * s / 10 }')
    read -r make label validate store decode <<<"${speeds}"
    awk -v part="$1" -v students="$2" -v top="${top}" -v audio="${audio}" -v update="${seconds_an_update}" \
        -v around="${seconds_a_training}" -v updates="${updates}" -v make="${make}" -v label="${label}" \
        -v validate="${validate}" -v store="${store}" -v decode="${decode}" -v averaged="${averaged}" 'BEGIN {
            h = students * ((updates * update + around) / 3600 + audio / decode)
            if (part == 1) h = (top + audio) / make + top / label + top / validate
            if (part == 2) h = students * (updates * update + around) / 3600 + top / store
            if (part == 3) h += 3 * audio / decode
            if (part == 5) h += averaged * audio / decode
            if (part == 6) h = 0.1
            printf "%.1f", h
        }'
}
# students_of PART: how many it trains.
students_of() {
    local seeds_ rungs_ every middle_
    seeds_=$(count ${seeds}) rungs_=$(count ${rungs}) every=$(count ${selections}) middle_=$(count ${more_selections})
    case $1 in
        2) echo $(($(count ${shares}) * $(wc -w <<<"$(selections_with_a_share)"))) ;;
        3) echo $((seeds_ * (rungs_ * every + middle_))) ;;
        4) echo $((seeds_ * $(count ${stops}) * every)) ;;
        5) echo $((seeds_ * ($(count ${weighted}) + $(count ${ablations}) + $(count ${validators})))) ;;
        *) echo 0 ;;
    esac
}

names=(labels share rungs stops ablations report)
total=0
for number in $(seq "${part}" "${stop_part}"); do
    name=${names[number - 1]}
    if "${dry_run}"; then
        trained=$(students_of "${number}")
        takes=$(hours "${number}" "${trained}")
        total=$(awk -v a="${total}" -v b="${takes}" 'BEGIN { printf "%.1f", a + b }')
        printf '\n# Part %s: %s, %s students, about %s h\n' "${number}" "${name}" "${trained}" "${takes}"
    else
        log "Part ${number}: ${name}"
    fi
    "part_${number}_${name}"
done
if "${dry_run}"; then
    printf '\n# A dry run: nothing was run. In all about %s h of two cores: %s updates of %s s for a student on average.\n' \
        "${total}" "${updates}" "${seconds_an_update}"
fi
