"""A node whose clock is its own: namespaces share the machine's, so this is a kernel of its own, User
Mode Linux on the peer's interface. It sets its clock by chrony and is asked for the time."""

import subprocess

from clocks import chronyd, program

ADDRESS = "10.77.0.41"

# The kernel reads its processes' registers into an area of fixed size. Where the processor's extended
# state is larger (AMX) the host does not set what was cut so, and the kernel panics. Where it cannot ask
# for the extended state at all it takes the x87 and SSE registers, on any processor; what is wider is
# lost then, so the C library within does without.
WITHOUT_EXTENDED_STATE = """
import errno, os, seccomp, sys
GETREGSET, X86_XSTATE = 0x4204, 0x202
rules = seccomp.SyscallFilter(seccomp.ALLOW)
rules.add_rule(seccomp.ERRNO(errno.EIO), "ptrace", seccomp.Arg(0, seccomp.EQ, GETREGSET),
               seccomp.Arg(2, seccomp.EQ, X86_XSTATE))
rules.load()
os.execv(sys.argv[1], sys.argv[1:])
"""

# The machine's root, read-only, with what must be written in memory.
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-XSAVE,-XSAVEC
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /run
ip link set lo up
ip link set vec0 address 02:00:00:00:00:41 up
ip addr add {address}/24 dev vec0
mkdir -m 700 /run/chrony
cat > /run/chrony.conf <<CONF
{sources}
makestep 0.001 -1
allow
cmdport 0
pidfile /run/chrony/pid
CONF
exec {chronyd} -d -u root -f /run/chrony.conf
"""


class SecondClock:
    """The node on `a`'s interface, asking `sources` four times a second; it steps by what is more than
    a millisecond, as often as it is told to."""

    def __init__(self, wire, sources):
        linux = program("user-mode-linux", "usr/bin/linux.uml")
        self.folder = wire.folder
        init = wire.folder / "init"
        lines = "\n".join(f"server {source} minpoll -2 maxpoll -2 iburst" for source in sources)
        init.write_text(INIT.format(address=ADDRESS, sources=lines, chronyd=chronyd()))
        init.chmod(0o755)
        self.log = wire.folder / "second-clock.log"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = wire.spawn(
                "a", "/usr/bin/python3", "-c", WITHOUT_EXTENDED_STATE, linux, "mem=128M", "root=none", "rootfstype=hostfs", "rootflags=/", "ro",
                f"init={init}", "vec0:transport=raw,ifname=eth0,depth=64", "con=null",
                "con0=null,fd:2", "ssl=null", "quiet", "panic=-1", f"umid=clock{wire.prefix}",
                f"uml_dir={wire.folder}", stdout=log, stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()  # not killed: it is several processes, and ends the others
        self.process.wait(timeout=20)
