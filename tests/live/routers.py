"""keepalived and bird on nodes 1 and 2 of a rack."""

import re

from wire import run

VIRTUAL = "10.78.0.100"
ROUTE = "192.0.2.{}/32"  # what the router of a node announces


class Keepalived:
    """VRRP version 3 with an advertisement every half a second; node 1 has the higher priority. The
    other takes over after 3 x 0.5 s and its skew, 0.3 s."""

    advertises_s = 0.5
    down_s = 1.8

    def __init__(self, programs):
        self.rack = programs.rack
        for which, priority in ((1, 150), (2, 100)):
            path = self.rack.folder / f"keepalived{which}.conf"
            path.write_text(
                f"global_defs {{\n  router_id n{which}\n  vrrp_version 3\n}}\n"
                "vrrp_instance service {\n  state BACKUP\n  interface eth0\n"
                f"  virtual_router_id 51\n  priority {priority}\n  advert_int {self.advertises_s}\n"
                f"  virtual_ipaddress {{\n    {VIRTUAL}/24\n  }}\n}}\n")
            programs.start(which, f"keepalived{which}", "keepalived", "--dont-fork", "--log-console",
                           "--log-detail", "--vrrp", "-f", path, "-p",
                           self.rack.folder / f"keepalived{which}.pid", "-r",
                           self.rack.folder / f"vrrp{which}.pid")

    def holders(self):
        """The nodes that have the address."""
        return [which for which in (1, 2)
                if f" {VIRTUAL}/" in self.rack.inside(which, "ip", "-o", "addr").stdout]


class Bird:
    """BGP between two routers, each with a route, and BFD beside it: a message every 200 ms, and five
    that do not come are one second."""

    detects_s = 1.0

    def __init__(self, programs):
        self.rack = programs.rack
        for which in (1, 2):
            other = 3 - which
            path = self.rack.folder / f"bird{which}.conf"
            path.write_text(
                f"router id {self.rack.address_of(which)};\nprotocol device {{}}\n"
                'protocol bfd { interface "eth0" { interval 200 ms; multiplier 5; }; }\n'
                f"protocol static {{ ipv4; route {ROUTE.format(which)} blackhole; }}\n"
                f"protocol bgp peer {{\n  local {self.rack.address_of(which)} as 6500{which};\n"
                f"  neighbor {self.rack.address_of(other)} as 6500{other};\n  bfd on;\n"
                "  connect delay time 1;\n  connect retry time 2;\n  error wait time 1, 2;\n"
                "  ipv4 { import all; export all; };\n}\n")
            programs.start(which, f"bird{which}", "bird", "-f", "-c", path, "-s",
                           self.socket(which), "-P", self.rack.folder / f"bird{which}.pid")

    def socket(self, which):
        return self.rack.folder / f"bird{which}.sock"

    def ask(self, which, *words):
        return run("birdc", "-s", self.socket(which), *words, check=False).stdout

    def bfd(self, which):
        """Up, Down or Init; None without a session."""
        found = re.search(r"eth0\s+(\w+)", self.ask(which, "show", "bfd", "sessions"))
        return found and found[1]

    def has_route(self, which):
        """Whether a router has the other's route."""
        return ROUTE.format(3 - which) in self.ask(which, "show", "route")

    def is_established(self, which):
        return "Established" in self.ask(which, "show", "protocols", "peer")

    def is_up(self):
        """Whether both have all: BFD, the session and the route."""
        return all(self.bfd(which) == "Up" and self.is_established(which) and self.has_route(which)
                   for which in (1, 2))
