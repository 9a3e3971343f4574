"""A real Slurm of one node, this machine, of Debian's packages `slurm-wlm` and `munge`, in a folder of its own.

Needs root (the daemons run jobs as their users) and nothing of cgroups, databases or the system's own Slurm: keys,
ports, sockets and state are the folder's. Commands find it by the environment variable SLURM_CONF.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
_SBIN = "/usr/sbin:/sbin"

_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
KillWait=20
JobRequeue=1
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def why_not() -> str | None:
    """Why a cluster cannot be booted here, None if it can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"no {', '.join(missing)} here: install Debian's slurm-wlm and munge"
    return None if os.geteuid() == 0 else "booting Slurm needs root"


class Cluster:
    """A running cluster; jobs are submitted to it by :meth:`run`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def boot(self) -> None:
        """Start the daemons and wait until the node takes jobs."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        controller_port, node_port = _free_ports(2)
        (self.folder / "slurm.conf").write_text(
            _CONFIGURATION.format(
                host=socket.gethostname().split(".")[0],
                folder=self.folder,
                controller_port=controller_port,
                node_port=node_port,
            )
        )
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "seed-file": "munge.seed"}
        options = [f"--{option}={self.folder / name}" for option, name in files.items()]
        self._start("munged", "--foreground", "--force", f"--log-file={self.folder / 'munge.log'}", *options)
        self._wait_for("munge", lambda: (self.folder / "munge.socket").exists())
        self._start("slurmctld", "-D", "-i")
        self._start("slurmd", "-D")
        self._wait_for("the node", lambda: "idle" in self.run("sinfo", "--noheader", "--format=%t", check=False))

    def run(self, *args: str, check: bool = True, **env: str) -> str:
        """A command's stdout; raises CalledProcessError with its stderr in the message if it fails."""
        done = subprocess.run(args, env=self.env | env, capture_output=True, text=True, timeout=120, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(args)}: {done.stderr}{done.stdout}")
        return done.stdout.strip()

    def submit(self, *args: str, **env: str) -> str:
        """Number of a job given to sbatch."""
        return self.run("sbatch", "--parsable", *args, **env).split(";")[0]

    def state(self, job: str) -> str:
        """A job's state as `scontrol show job` has it, of an array's jobs those that have not COMPLETED first."""
        shown = self.run("scontrol", "--oneliner", "show", "job", job)
        states = {word.partition("=")[2] for word in shown.split() if word.startswith("JobState=")}
        return next((state for state in states if state != "COMPLETED"), "COMPLETED")

    def wait(self, job: str, timeout: float = 400) -> str:
        """The state in which a job ends."""
        unfinished = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "SUSPENDED")
        end = time.monotonic() + timeout
        while (state := self.state(job)) in unfinished:
            if time.monotonic() > end:
                raise AssertionError(f"job {job} is {state} after {timeout} s: {self.run('squeue', '--long')}")
            time.sleep(0.5)
        return state

    def shut_down(self) -> None:
        """End all jobs, then the daemons: a step whose daemon is gone would run on."""
        end = time.monotonic() + 30
        while self.run("squeue", "--noheader", check=False) and time.monotonic() < end:
            self.run("scancel", "--full", "--signal=KILL", "--user=root", check=False)
            time.sleep(1)
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def _start(self, program: str, *args: str) -> None:
        with (self.folder / f"{program}.out").open("wb") as out:
            self._daemons.append(subprocess.Popen([program, *args], env=self.env, stdout=out, stderr=out))

    def _wait_for(self, what: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not ready():
            if time.monotonic() > end or any(daemon.poll() is not None for daemon in self._daemons):
                logs = "\n".join(f"{p.name}: {p.read_text()[-2000:]}" for p in self.folder.glob("*.[lo][ou][gt]"))
                raise AssertionError(f"{what} did not come up\n{logs}")
            time.sleep(0.2)


def _path() -> str:
    return f"{os.environ['PATH']}:{_SBIN}"


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
