"""An hour of `faultline run` with captures on a small disk: which packets are lost is what the dice say,
to the packet; memory stays as it is; captures stay within their limit. FAULTLINE_SOAK_S changes how long."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from wire import BUILD, PORTS, REPOSITORY, law_holds

sys.path.insert(0, str(REPOSITORY / "tests"))
from model.captures import read_pcapng  # noqa: E402
from model.dice import FATE, Dice, below, threshold  # noqa: E402
from model.flows import IPV4, UDP, FlowKey  # noqa: E402

SECONDS = int(os.environ.get("FAULTLINE_SOAK_S", "3600"))
RATE, FLOWS = 2000, 16
FIRST_PORT, PORT = 49152, 9
CLIENT, SERVER = bytes((198, 18, 0, 1)), bytes((198, 18, 0, 2))
LIMIT_BYTES = 8_000_000
SCENARIO = PORTS + f"""workers: {{power: sleep}}
rules:
  - {{name: thin, from: left, to: right, match: {{proto: udp, dport: {PORT}}}, impair: [loss: 2%]}}
  - {{name: wan, from: left, to: right, match: {{proto: udp, sport: {FIRST_PORT}}}, impair: [delay: 1ms]}}
capture:
  - {{rule: thin, points: [before, after, drops], limit: {LIMIT_BYTES // 1_000_000}MB, files: 4}}
expect:
  - {{rule: thin, loss: "2% ± 0.1%"}}
  - {{rule: wan, delay_p50: "1ms ± 0.1ms"}}
  - {{ledger: balanced}}
"""


@pytest.fixture
def disk(tmp_path):
    """A file system of 48 MB, for captures and the journal."""
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=755", "tmpfs", data], check=True)
    yield data
    subprocess.run(["umount", data], check=True)


def resident_kb(process):
    """The process's own memory: not the files and huge pages that it maps."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))


def captured_bytes(disk):
    return sum(path.stat().st_size for path in disk.glob("**/*.pcapng"))


def watched(run, daemon, disk):
    """While the run goes on, every ten seconds: memory of daemon and client, and the captures' room."""
    seen = []
    while run.poll() is None:
        time.sleep(10)
        if run.poll() is None:
            try:
                seen.append((resident_kb(daemon), resident_kb(run), captured_bytes(disk)))
            except (FileNotFoundError, StopIteration):  # a file, or the client, that has gone meanwhile
                continue
    return seen


def lost_by_the_dice(sent):
    """By flow the numbers, from 1, that a loss of 2 % takes of so many packets."""
    dice = Dice(7, "thin", 0, FATE)
    lost = []
    for flow, count in enumerate(sent):
        key = FlowKey(IPV4, CLIENT, SERVER, 0x0800, UDP, FIRST_PORT + flow, PORT)
        lost.append(1 + np.flatnonzero(below(dice.run(key.identity(), 1, count), threshold("2%"))))
    return lost


@pytest.mark.long
def test_an_hour_with_captures_on_a_small_disk(wire, disk):
    wire.start(SCENARIO.split("rules:")[0], "--data", str(disk))
    file, folder = wire.folder / "soak.yaml", wire.folder / "soak"
    file.write_text(SCENARIO)
    probe = (f"{BUILD}/faultline probe --from {wire.namespace('a')}/eth0 --to {wire.namespace('b')}/eth0 "
             f"--rate {RATE} --flows {FLOWS} --duration {SECONDS}s --by-flow --json")
    run = subprocess.Popen([BUILD / "faultline", "--socket", wire.socket, "run", file, "--out", folder,
                            "--command", probe, "--json"], stdout=subprocess.PIPE, text=True)
    seen = watched(run, wire.daemon, disk)
    verdict = json.loads(run.communicate()[0])
    assert run.returncode == 0 and verdict["verdict"] == "pass", verdict

    stats = json.loads((folder / "stats.json").read_text())
    found = json.loads((folder / "command.log").read_text())["directions"][0]
    sent = [flow["sent"] for flow in found["flows"]]
    lost = lost_by_the_dice(sent)
    assert sum(sent) > 0.95 * RATE * SECONDS and law_holds(stats)
    assert stats["rules"]["thin"]["matched"] == sum(sent)
    assert [flow["lost"] for flow in found["flows"]] == [len(numbers) for numbers in lost]
    assert stats["rules"]["thin"]["dropped"] == sum(map(len, lost)) == found["lost"]
    assert found["duplicated"] == found["corrupted"] == found["missed"] == 0

    # Memory: what the second half of the time adds to the first is less than 1 %, and a little.
    half = len(seen) // 2
    for which in range(2):
        early, late = (max(row[which] for row in part) for part in (seen[3:half], seen[half:]))
        assert late <= 1.01 * early + 256, (which, early, late)

    # Captures: within their limit at any time, nothing lost, and the newest drops are the dice's.
    assert max(row[2] for row in seen) <= LIMIT_BYTES
    captures = stats["captures"]
    assert all(each["lost"] == 0 and each["failure"] is None for each in captures)
    assert {each["point"]: each["packets"] for each in captures} == {
        "before": sum(sent), "after": sum(sent) - found["lost"], "drops": found["lost"]}
    for path in sorted((folder / "captures").glob("thin-drops-*.pcapng")):
        kept = read_pcapng(path)
        for at in range(len(kept)):
            number = int("".join(kept.comment(at)).split(";")[0].removeprefix("packet="))
            flow = int.from_bytes(kept.frame(at)[34:36], "big") - FIRST_PORT
            assert number in lost[flow]
