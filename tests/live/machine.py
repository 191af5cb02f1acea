"""A small virtual machine with network cards, for drivers that need real ones: Debian's kernel, an
initramfs of our own, and this machine's root, read-only, in it. Emulated, so it runs everywhere, slowly.

Nothing is installed: the kernel's package is fetched and unpacked into the build folder, once.
"""

import lzma
import shutil
import subprocess
from pathlib import Path

from wire import BUILD, run

FOLDER = BUILD / "machine"
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "e1000", "uio_pci_generic", "vfio-pci")

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
for module in $(cat /modules/order); do insmod /modules/$module $(cat /modules/$module.options 2>/dev/null); done
mkdir -p /host
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro host /host
for folder in run tmp var/tmp mnt; do mount -t tmpfs none /host/$folder; done
ln -s /proc/self/fd /dev/fd
mount --bind /proc /host/proc; mount --bind /sys /host/sys; mount --bind /dev /host/dev
mkdir -p /host/mnt/huge; mount -t hugetlbfs none /host/mnt/huge
cp /test.sh /host/tmp/test.sh
chroot /host /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp bash /tmp/test.sh
echo "MACHINE DONE $?"
poweroff -f
"""


def missing():
    """What this machine lacks to run another one; empty: nothing."""
    needed = {"qemu-system-x86_64": "qemu-system-x86", "modprobe": "kmod", "cpio": "cpio",
              "busybox": "busybox-static"}
    return ", ".join(package for program, package in needed.items() if shutil.which(program) is None)


def kernel_version():
    """The version of Debian's kernel, fetched and unpacked."""
    root = FOLDER / "kernel"
    if not root.is_dir():
        depends = run("apt-cache", "depends", "linux-image-amd64").stdout.split()
        package = next(word for word in depends if word.startswith("linux-image-") and "." in word)
        FOLDER.mkdir(parents=True, exist_ok=True)
        run("apt-get", "download", package, cwd=FOLDER, timeout=600)
        archive = next(FOLDER.glob("linux-image-*.deb"))
        run("dpkg-deb", "-x", archive, root.with_suffix(".part"), timeout=600)
        archive.unlink()
        root.with_suffix(".part").rename(root)
    return next((root / "lib/modules").iterdir()).name


def kernel_image(version):
    """The kernel as QEMU starts it: vmlinux, taken out of vmlinuz."""
    image = FOLDER / "vmlinux"
    if not image.exists():
        packed = (FOLDER / f"kernel/boot/vmlinuz-{version}").read_bytes()
        start = packed.index(bytes.fromhex("fd377a585a00"))
        image.write_bytes(lzma.LZMADecompressor().decompress(packed[start:]))
    return image


def write_archive(version, script):
    """The initramfs: busybox, modules in the order they need each other, and the script."""
    root = FOLDER / "initramfs"
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "proc", "sys", "dev", "modules", "host"):
        (root / folder).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin/busybox")
    run("depmod", "-b", FOLDER / "kernel", version)
    order = []
    for module in MODULES:
        for line in run("modprobe", "-d", FOLDER / "kernel", "-S", version, "--show-depends",
                        module).stdout.splitlines():
            path = Path(line.split()[1])
            if line.startswith("insmod") and path.name not in order:
                shutil.copy(path, root / "modules")
                order.append(path.name)
    (root / "modules/order").write_text("\n".join(order) + "\n")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    (root / "test.sh").write_text(script)
    archive = FOLDER / "initramfs.cpio"
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with open(archive, "wb") as file:
        subprocess.run(["cpio", "--create", "--format=newc", "--quiet"], cwd=root, stdout=file,
                       input=names.encode(), check=True)
    return archive


def run_in_machine(script, cards, iommu=False, timeout=400):
    """Runs a bash script as root in a machine whose cards are given as (QEMU's model, hub); their MAC
    addresses are 02:00:00:00:00:01 and so on. Returns what it printed."""
    version = kernel_version()
    archive = write_archive(version, script)
    command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-machine",
               "q35,accel=tcg" + (",kernel-irqchip=split" if iommu else ""), "-cpu", "max",
               "-smp", "2", "-m", "1024", "-kernel", kernel_image(version), "-initrd", archive,
               "-append", "console=ttyS0 panic=-1 quiet" + (" intel_iommu=on" if iommu else ""),
               "-nographic", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-virtfs",
               "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]
    if iommu:
        command += ["-device", "intel-iommu,intremap=on"]
    for number, (model, hub) in enumerate(cards, 1):
        command += ["-netdev", f"hubport,id=n{number},hubid={hub}", "-device",
                    f"{model},netdev=n{number},mac=02:00:00:00:00:{number:02x},romfile="]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=timeout, check=False, stdin=subprocess.DEVNULL, errors="replace")
    return done.stdout + done.stderr
