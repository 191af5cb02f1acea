"""Network cards that DPDK drives itself, in a virtual machine: emulated ones, with and without an
IOMMU."""

import json
import re

import pytest

from machine import missing, run_in_machine
from wire import BUILD

SCRIPT = """
exec 2>&1
set -u
echo 128 > /proc/sys/vm/nr_hugepages
declare -A of
for card in /sys/class/net/*; do of[$(cat $card/address)]=$(basename $card); done
ip link set lo up
number=0
for which in a b; do
  number=$((number + 1))
  ip netns add $which
  ip link set ${of[02:00:00:00:00:0$number]} netns $which name eth0
  ip -n $which addr add 10.77.0.$number/24 dev eth0
  ip -n $which link set eth0 up
done
# In the order in which they were plugged in: two for the peers, two for us.
readarray -t pci < <(grep -l '^0x0200' /sys/bus/pci/devices/*/class | xargs -n1 dirname |
                     xargs -n1 basename | sort | tail -2)
for card in "${pci[@]}"; do
  [[ -d /sys/bus/pci/devices/$card/driver ]] && echo $card > /sys/bus/pci/devices/$card/driver/unbind
done
cat > /tmp/scenario.yaml <<YAML
version: 1
ports:
  left: {driver: pci, address: "${pci[0]}"}
  right: {driver: pci, address: "${pci[1]}"}
wires: {lab: [left, right]}
rules: [{name: slow, from: left, enabled: false, impair: [delay: 300ms]}]
YAML
echo "REFUSED"; FAULTLINED --scenario /tmp/scenario.yaml --socket /tmp/s.sock; echo "STATUS $?"
for card in "${pci[@]}"; do
  echo DRIVER > /sys/bus/pci/devices/$card/driver_override
  echo $card > /sys/bus/pci/drivers_probe
done
FAULTLINED --scenario /tmp/scenario.yaml --socket /tmp/s.sock &
daemon=$!
for turn in $(seq 60); do
  FAULTLINE --socket /tmp/s.sock status --json > /tmp/status 2> /dev/null && break
  sleep 1
done
FAULTLINE --socket /tmp/s.sock ports --json | sed 's/^/PORTS /'
ip netns exec a ping -c 3 -i 0.5 -W 5 10.77.0.2 > /dev/null
ip netns exec a ping -c 10 -i 0.2 -W 5 10.77.0.2 | sed 's/^/PLAIN /'
FAULTLINE --socket /tmp/s.sock rule enable slow
ip netns exec a ping -c 10 -i 0.2 -W 5 -M do -s 1472 10.77.0.2 | sed 's/^/SLOW /'
sleep 1
FAULTLINE --socket /tmp/s.sock stats --json | sed 's/^/STATS /'
kill $daemon; wait $daemon; echo "ENDED $?"
FAULTLINE probe --from "{driver: pci, address: \"${pci[0]}\"}" --to a/eth0 --both --rate 50pps --count 200 \
  --size 64,1518 --silence 20s --json | sed 's/^/PROBE /'
grep HugePages_Free /proc/meminfo | sed 's/^/PAGES /'
"""

pytestmark = [pytest.mark.long,
              pytest.mark.skipif(bool(missing()), reason=f"missing: {missing()}")]


@pytest.mark.parametrize("model,driver,iommu", [
    ("e1000", "uio_pci_generic", False),
    ("vmxnet3", "uio_pci_generic", False),
    ("virtio-net-pci,disable-legacy=on,iommu_platform=on", "vfio-pci", True),
    ("e1000e", "vfio-pci", True),
])
def test_cards_of_a_machine(model, driver, iommu):
    """A card that belongs to the kernel, or to nobody, is refused with what to do. Bound for DPDK it
    carries pings of full size, delayed and not, and at the end everything is given back. Then the
    probe sends from it and hears with it."""
    script = (SCRIPT.replace("FAULTLINED", str(BUILD / "faultlined"))
              .replace("FAULTLINE", str(BUILD / "faultline")).replace("DRIVER", driver))
    output = run_in_machine(script, [("e1000", 0), ("e1000", 1), (model, 0), (model, 1)], iommu)

    def lines(word):
        return [line[len(word) + 1:] for line in output.replace("\r", "").splitlines()
                if line.startswith(word + " ")]
    assert lines("STATUS") == ["4"], output
    assert "is bound to no driver" in output and "dpdk-devbind.py --bind=vfio-pci" in output
    assert "errors" not in lines("PORTS")[0], output
    ports = json.loads(lines("PORTS")[0])["ports"]
    assert [port["link"] for port in ports] == [True, True]
    assert [port["mac"] for port in ports] == ["02:00:00:00:00:03", "02:00:00:00:00:04"]
    assert "10 received" in "".join(lines("PLAIN")), output
    slow = [float(time) for time in re.findall(r"time=([\d.]+) ms", "".join(lines("SLOW")))]
    assert len(slow) == 10 and min(slow) >= 300, output
    stats = json.loads(lines("STATS")[0])
    assert stats["ledger"]["balanced"] and stats["lateness"]["early"] == 0
    assert stats["rules"]["slow"]["matched"] >= 10
    assert lines("ENDED") == ["0"], output
    probe = json.loads(lines("PROBE")[0])
    assert [(way["sent"], way["received"]) for way in probe["directions"]] == [(200, 200)] * 2, output
    assert lines("PAGES")[0].split()[1] == "128", output
