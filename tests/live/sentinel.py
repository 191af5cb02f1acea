"""redis on nodes 1 to 3 of a rack, with a sentinel beside each: node 1 is the master at first, and node 2
is the one that is to follow it."""

from traffic import wait_for

NODES = (1, 2, 3)
DOWN_AFTER_MS = 2000


class Redis:
    """The three servers and the three sentinels; all are told by their node's number."""

    def __init__(self, programs):
        self.rack, self.programs = programs.rack, programs
        for which in NODES:
            folder = self.rack.folder / f"redis{which}"
            folder.mkdir()
            words = ["--replicaof", self.rack.address_of(1), 6379] if which != 1 else []
            words += ["--replica-priority", 50 if which == 2 else 100]
            programs.start(which, f"redis{which}", "redis-server", "--bind",
                           f"{self.rack.address_of(which)} 127.0.0.1", "--protected-mode", "no",
                           "--save", "", "--appendonly", "no", "--repl-ping-replica-period", 1,
                           "--dir", folder, *words)
        wait_for(lambda: self.cli(1, "PING") == ["PONG"])
        for which in NODES:
            path = self.rack.folder / f"sentinel{which}.conf"
            path.write_text(
                f"port 26379\nbind {self.rack.address_of(which)} 127.0.0.1\nprotected-mode no\n"
                f"dir {self.rack.folder}\nsentinel monitor orders {self.rack.address_of(1)} 6379 2\n"
                f"sentinel down-after-milliseconds orders {DOWN_AFTER_MS}\n"
                "sentinel failover-timeout orders 6000\n")
            programs.start(which, f"sentinel{which}", "redis-server", path, "--sentinel")
        wait_for(self.is_complete, seconds=40)
        wait_for(lambda: self.follows(2) == self.follows(3) == 1, seconds=40)

    def cli(self, which, *words, port=6379):
        """What a server answers to its own node, a line each."""
        done = self.rack.inside(which, "timeout", 3, "redis-cli", "-h", self.rack.address_of(which),
                                "-p", port, *words, check=False)
        return done.stdout.splitlines()

    def seen(self, which):
        """What a sentinel knows of the master, by name."""
        said = self.cli(which, "SENTINEL", "MASTER", "orders", port=26379)
        return dict(zip(said[::2], said[1::2]))

    def is_complete(self):
        """Whether everybody knows everybody."""
        return all(seen.get("num-slaves") == "2" and seen.get("num-other-sentinels") == "2"
                   and seen.get("flags") == "master" for seen in map(self.seen, NODES))

    def master(self, which):
        """The node of the master as a sentinel has it."""
        address = self.seen(which).get("ip", "")
        return next((node for node in NODES if self.rack.address_of(node) == address), None)

    def role(self, which):
        """master or slave, as a server has it."""
        return (self.cli(which, "ROLE") or [None])[0]

    def follows(self, which):
        """The node of the master that a replica is connected to, or None."""
        role = self.cli(which, "ROLE")
        if len(role) < 4 or role[0] != "slave" or role[3] != "connected":
            return None
        return next(node for node in NODES if self.rack.address_of(node) == role[1])
