# shellcheck shell=bash disable=SC2034 # the arrays are used by k2d.sh
# Where commands run: sourced by k2d.sh after its options. Every back end is called as in Kaldi,
#   [JOB=1:N] [--num_threads --mem --time --gpu --num_nodes --max_jobs_run --config FILE] LOG COMMAND…
#
# In:  cmd_backend, nj, job_threads, train_threads, OMP_NUM_THREADS. Out: data_cmd (stage 1), cpu_cmd (short work), decode_cmd
# (stages 2, 3 and 6), train_cmd (stage 5); cores of a CPU job: cpu_threads of those two first, job_threads of one
# of nj decoding jobs, unless --job_threads says it, alone_threads of one that runs alone, train_threads of training.

case "${cmd_backend:-local}" in
    local)
        # Jobs run in parallel on this machine, as many as its cores allow; --mem and --time have no effect.
        data_cmd=()
        cpu_cmd=("${K2D_ROOT}/utils/run.py")
        decode_cmd=("${K2D_ROOT}/utils/run.py")
        train_cmd=("${K2D_ROOT}/utils/run.py")
        # The cores are shared out: more threads than cores make every job slower.
        : "${job_threads:=$((OMP_NUM_THREADS / nj > 0 ? OMP_NUM_THREADS / nj : 1))}"
        : "${train_threads:=${OMP_NUM_THREADS}}"
        alone_threads=${OMP_NUM_THREADS}
        cpu_threads=$(nproc)
        ;;
    slurm)
        # Partitions, accounts and names of GPUs are in conf/slurm.conf. These are the needs of jobs with large-v2 as the
        # teacher; k2d plan estimates them for other models and hours.
        : "${job_threads:=4}"
        : "${train_threads:=16}"
        alone_threads=${job_threads}
        cpu_threads=8
        cpu_cmd=("${K2D_ROOT}/utils/slurm.py" --num_threads "${cpu_threads}" --mem 32G --time 1-00:00:00)
        data_cmd=("${cpu_cmd[@]}" data/log/prepare.log)
        decode_cmd=("${K2D_ROOT}/utils/slurm.py" --num_threads 4 --mem 40G --time 1-00:00:00)
        # Ten minutes before its time limit, training saves its state and continues in another job.
        train_cmd=("${K2D_ROOT}/utils/slurm.py" --num_threads "${train_threads}" --mem 160G --time 1-00:00:00 --signal_before 600)
        ;;
    # For another back end, add a case: a program that is called like this, and the options for each kind of job.
    # mine)
    #     job_threads=4 alone_threads=4 cpu_threads=8 train_threads=16
    #     data_cmd=()
    #     cpu_cmd=(my_submit.py --mem 4G)
    #     decode_cmd=(my_submit.py --mem 16G --time 12:00:00 --max_jobs_run 64)
    #     train_cmd=(my_submit.py --mem 64G --time 48:00:00)
    #     ;;
    *)
        echo "cmd.sh: unknown --cmd_backend '${cmd_backend}': use local, or add a case to cmd.sh" >&2
        return 1
        ;;
esac
