"""A day of virtual time with captures that rotate: which packets are lost is what the dice say, to the
packet; memory is that of six hours; captures stay within their limit."""

import subprocess
import time

import numpy as np

from model import captures
from model.captures import read_pcapng
from model.dice import FATE, Dice, below, threshold
from model.flows import flow_of

HOUR_S, RATE, FLOWS = 3600, 20, 20
LIMIT_BYTES = 3_000_000
SCENARIO = f"""version: 1
seed: 11
rules:
  - {{name: thin, impair: [loss: 1%]}}
  - {{name: wan, impair: [delay: 40ms]}}
capture:
  - {{rule: thin, limit: {LIMIT_BYTES // 1_000_000}MB, files: 4}}
"""


def traffic(hours):
    """So many hours of 20 packets a second."""
    return captures.udp_traffic(hours * HOUR_S * RATE, FLOWS, spacing_ns=10**9 // RATE, salt=6)


def lasted_s(capture):
    return float(capture.time_ns[-1] - capture.time_ns[0]) / 1e9


def run_for(program, made, folder):
    """The most memory that the simulation took, in bytes."""
    captures.write_pcap(program.folder / "in.pcap", made.capture)
    (program.folder / "soak.yaml").write_text(SCENARIO)
    words = [program.path, "simulate", "soak.yaml", "--in", "in.pcap", "--out", "out.pcapng",
             "--captures", folder, "--annotate", "none"]
    with subprocess.Popen(words, cwd=program.folder, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        most = 0
        while process.poll() is None:  # not getrusage: that begins with this process's own pages
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                most = max([most, *(int(line.split()[1]) for line in status
                                    if line.startswith("VmHWM"))])
            time.sleep(0.01)
    assert process.returncode == 0
    return most * 1024


def test_a_day(program, tmp_path):
    quarter, day = traffic(6), traffic(24)
    assert lasted_s(day.capture) > 23.9 * HOUR_S
    of_a_quarter = run_for(program, quarter, tmp_path / "quarter")
    of_a_day = run_for(program, day, tmp_path / "day")
    assert of_a_day < 1.02 * of_a_quarter + 2**22, (of_a_quarter, of_a_day)

    kept = read_pcapng(program.folder / "out.pcapng").serial()
    lost = np.ones(len(day.capture), dtype=bool)
    lost[kept] = False
    dice = Dice(11, "thin", 0, FATE)
    for flow in range(FLOWS):
        of_flow = np.flatnonzero(day.flow == flow)
        identity = flow_of(day.capture.frame(int(of_flow[0]))).identity()
        wanted = below(dice.run(identity, 1, len(of_flow)), threshold("1%"))
        assert (lost[of_flow] == wanted).all()

    for point, came in (("before", np.arange(len(lost))), ("after", np.flatnonzero(~lost)),
                        ("drops", np.flatnonzero(lost))):
        files = sorted((tmp_path / "day").glob(f"thin-{point}-*.pcapng"))
        newest = np.concatenate([read_pcapng(path).serial() for path in files])
        assert (newest == came[-len(newest):]).all() and len(newest) > 1_000
    assert sum(path.stat().st_size for path in (tmp_path / "day").iterdir()) <= LIMIT_BYTES
