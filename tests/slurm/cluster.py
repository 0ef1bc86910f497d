"""A real Slurm cluster on this machine, in a folder of its own: munge, a controller, node daemons under other names.

Nothing outside the folder is touched and no accounting database runs, so that other clusters, and the services
that a package may have started, do not matter. The nodes claim more cores and memory than there are, so that
recipes run with the needs that cmd.sh names; jobs go to the node with the fewest.

Each node has two GPUs as far as Slurm is concerned: it counts them, hands them out and tells jobs their numbers as
for real ones, but their device files lead to /dev/null and /dev/zero.

Partitions: `main`, the default, and `gpu` are n1 and n2. `second` is n3 and n4, `third` n5 and n6: for tests that kill
a node while others run.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

# munged and the daemons lie in sbin, which is not on everybody's path.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")

CONFIG = """\
ClusterName=k2d
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
GresTypes=gpu
SelectTypeParameters=CR_CPU,CR_LLN
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
SlurmdTimeout=6
MessageTimeout=3
BatchStartTimeout=5
KillWait=10
ReturnToService=2
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports} CPUs=16 RealMemory=200000 \
Gres=gpu:h100:2
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=n[1-2] MaxTime=INFINITE State=UP
PartitionName=second Nodes=n[3-4] MaxTime=INFINITE State=UP
PartitionName=third Nodes=n[5-6] MaxTime=INFINITE State=UP
"""
NODES = 6
GPUS = "NodeName={nodes} Name=gpu Type=h100 File={folder}/gpu[0-1]\n"


def missing() -> list[str]:
    """The programs of Slurm and munge that this machine lacks."""
    return [name for name in PROGRAMS if not shutil.which(name, path=SEARCH)]


def free_ports(count: int) -> list[int]:
    """So many adjacent free ports."""
    for first in range(21000 + os.getpid() % 8000, 31000, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return list(range(first, first + count))
    raise OSError("no free ports between 21000 and 31000")


class Cluster:
    """`environment` is what Slurm's commands need to talk to this cluster."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.names = [f"n{number}" for number in range(1, NODES + 1)]
        self._daemons: dict[str, subprocess.Popen] = {}
        # A relative path would not do, and MUNGE's socket must be short.
        self.environment = {**os.environ, "PATH": SEARCH, "SLURM_CONF": str(folder / "slurm.conf")}
        for name in [name for name in self.environment if name.startswith("SLURM_") and name != "SLURM_CONF"]:
            del self.environment[name]
        controller, first, *_, last = free_ports(NODES + 1)
        config = CONFIG.format(
            folder=folder,
            host=socket.gethostname(),
            user=getpass.getuser(),
            controller_port=controller,
            nodes=f"n[1-{NODES}]",
            node_ports=f"[{first}-{last}]",
        )
        (folder / "slurm.conf").write_text(config)
        (folder / "gres.conf").write_text(GPUS.format(nodes=f"n[1-{NODES}]", folder=folder))
        for number, device in enumerate(("null", "zero")):  # Slurm wants device files
            (folder / f"gpu{number}").symlink_to(f"/dev/{device}")
        (folder / "state").mkdir()
        for name in self.names:
            (folder / f"spool.{name}").mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)

    def __enter__(self) -> "Cluster":
        try:
            where = [f"--{what}-file={self.folder}/munge.{what}" for what in ("key", "pid", "log", "seed")]
            self._start("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", *where)
            wait_for(lambda: (self.folder / "munge.socket").exists(), 60, "munged did not start", self.logs)
            self._start("slurmctld", "-D", "-i")
            for name in self.names:
                self._start("slurmd", "-D", "-N", name, key=name)
            for name in self.names:
                self.wait_for_node(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start_node(self, name: str) -> None:
        self._start("slurmd", "-D", "-N", name, key=name)
        self.wait_for_node(name)

    def wait_for_node(self, name: str) -> None:
        wait_for(lambda: "idle" in self.state(name), 120, f"{name} is not idle", self.logs)

    def _start(self, program: str, *arguments: str, key: str | None = None) -> None:
        with open(self.folder / f"{key or program}.out", "ab") as output:
            self._daemons[key or program] = subprocess.Popen(
                [shutil.which(program, path=SEARCH), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )

    def call(self, *words: str) -> str:
        """Output of one of Slurm's commands."""
        result = subprocess.run(words, capture_output=True, text=True, env=self.environment, timeout=60)
        return result.stdout + result.stderr

    def kill_node(self, name: str) -> None:
        """What a power cut does: the daemon and everything that it has started are gone at once."""
        self._daemons.pop(name).kill()
        self._kill(name)

    def state(self, name: str) -> str:
        return self.call("sinfo", "-h", "-n", name, "-o", "%T")

    def _kill(self, name: str) -> None:
        """Kill the processes of jobs on a node of this cluster, told by their environment, and their daemons."""
        marks = {f"SLURMD_NODENAME={name}", f"SLURM_CONF={self.environment['SLURM_CONF']}"}
        found = [pid for pid in processes() if marks <= set(environment_of(pid))]
        parents = {parent_of(pid) for pid in found}
        steps = [pid for pid in parents if name_of(pid).startswith("slurmstepd")]
        for pid in [*steps, *found]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def logs(self) -> str:
        """The ends of the daemons' logs, for a failing test."""
        texts = []
        for path in sorted([*self.folder.glob("*.out"), *self.folder.glob("*.log")]):
            texts += [f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-8:]]
        return "\n".join(texts)

    def __exit__(self, *error) -> None:
        if "slurmctld" in self._daemons:
            self.call("scancel", "--user", getpass.getuser(), "--full")
        for name in self.names:
            self._kill(name)
        for process in reversed(self._daemons.values()):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def wait_for(condition, seconds: float, complaint: str, more=lambda: "") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{complaint} within {seconds} s\n{more()}"
        time.sleep(0.1)


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def environment_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # it has ended, or is somebody else's
        return []


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
