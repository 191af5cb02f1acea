"""A switch with nodes around it: a namespace each, numbered from 1, and faultlined between them."""

from wire import Wire, run


def rack_scenario(nodes, rest="", switch=""):
    """Ports p1 … pN on a switch, a node n1 … nN behind each."""
    numbers = range(1, nodes + 1)
    ports = "".join(f"  p{n}: {{driver: af_packet, interface: fl-p{n}}}\n" for n in numbers)
    names = "".join(f"  n{n}: {{port: p{n}}}\n" for n in numbers)
    listed = ", ".join(f"p{n}" for n in numbers)
    return (f"version: 1\nname: rack\nseed: 7\nports:\n{ports}"
            f"switches:\n  rack: {{ports: [{listed}]{switch}}}\nnodes:\n{names}{rest}")


class Rack(Wire):
    """Namespaces 1 … N, each with eth0 of 10.78.0.N and fd78::N, and m, where the daemon runs."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.spaces = [str(number) for number in range(1, nodes + 1)] + ["m"]
        super().__init__()

    def lay_cables(self):
        run("ip", "-n", self.namespace("m"), "link", "set", "lo", "up")
        for which in self.spaces[:-1]:
            end = f"fl-p{which}"
            run("ip", "-n", self.namespace("m"), "link", "add", end, "type", "veth", "peer", "name",
                "eth0", "netns", self.namespace(which))
            self.inside("m", "sysctl", "-qw", f"net.ipv6.conf.{end}.disable_ipv6=1")
            run("ip", "-n", self.namespace("m"), "link", "set", end, "up")
            self.inside(which, "ethtool", "-K", "eth0", "tx", "off")
            for device in ("lo", "eth0"):
                run("ip", "-n", self.namespace(which), "link", "set", device, "up")
            run("ip", "-n", self.namespace(which), "addr", "add", f"10.78.0.{which}/24", "dev",
                "eth0")
            run("ip", "-n", self.namespace(which), "addr", "add", f"fd78::{which}/64", "dev",
                "eth0", "nodad")

    def address_of(self, which):
        return f"10.78.0.{which}"

    def partition(self, **keys):
        """Cuts links; what the daemon answers."""
        status, body = self.http("PUT", "/v1/partition", keys)
        assert status in (200, 201), body
        return body

    def heal_partition(self):
        status, body = self.http("DELETE", "/v1/partition")
        assert status == 200, body
        return body

    def reaches(self, source, target, address=None):
        """Whether a ping is answered within half a second."""
        done = self.inside(source, "ping", "-c", 1, "-W", "0.5", address or self.address_of(target),
                           check=False)
        return done.returncode == 0
