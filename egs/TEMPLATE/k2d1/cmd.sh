# shellcheck shell=bash disable=SC2034 # the arrays are used by k2d.sh
# Where commands run: sourced by k2d.sh after its options. Every back end takes Kaldi's calling form,
#   [JOB=1:N] [--num_threads --mem --time --gpu --max_jobs_run --config FILE] LOG COMMAND…
# so that the stages say what a job needs and this file alone says where it gets it.
#
# In:  cmd_backend. Out: cpu_cmd (short work), decode_cmd (stages 2, 3 and 6), train_cmd (stage 5).

case "${cmd_backend:-local}" in
    local)
        # Jobs side by side on this machine, as many as its cores allow; --mem and --time say nothing here.
        cpu_cmd=("${K2D_ROOT}/utils/run.py")
        decode_cmd=("${K2D_ROOT}/utils/run.py")
        train_cmd=("${K2D_ROOT}/utils/run.py")
        ;;
    # Another back end is another case: a program with this calling form, and what each kind of job asks it for.
    # mine)
    #     cpu_cmd=(my_submit.py --mem 4G)
    #     decode_cmd=(my_submit.py --mem 16G --time 12:00:00 --max_jobs_run 64)
    #     train_cmd=(my_submit.py --mem 64G --time 48:00:00)
    #     ;;
    *)
        echo "cmd.sh: unknown --cmd_backend '${cmd_backend}': use local, or add a case to cmd.sh" >&2
        return 1
        ;;
esac
