"""A cluster of three etcd members on nodes 1 to 3 of a rack, and a client on node 4 that writes numbered
keys and knows which were acknowledged."""

import base64
import json
import signal
import subprocess
import sys
import time

from programs import ask
from traffic import wait_for

MEMBERS = (1, 2, 3)
CLIENT = 4
HEARTBEAT_MS, ELECTION_MS = 300, 3000

WRITER = """
import base64, http.client, json, signal, sys, time
hosts = sys.argv[1:]
stopped = False
signal.signal(signal.SIGINT, lambda *_: globals().update(stopped=True))
acknowledged, connection, number, turn = [], None, 0, 0
print('ready', flush=True)
while not stopped:
    number += 1
    key = base64.b64encode(b'k%06d' % number).decode()
    asked = time.monotonic()
    try:
        if connection is None:
            connection = http.client.HTTPConnection(hosts[turn % len(hosts)], 2379, timeout=1.5)
        connection.request('POST', '/v3/kv/put', json.dumps({'key': key, 'value': key}))
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise OSError
        acknowledged.append((number, asked, time.monotonic()))
    except (OSError, http.client.HTTPException):
        connection.close()
        connection, turn = None, turn + 1  # whether it was written, nobody knows
    time.sleep(0.05)
json.dump([number, acknowledged], sys.stdout)
"""


class Etcd:
    """The cluster; members are told by their node's number."""

    def __init__(self, programs, pre_vote=False):
        self.rack = programs.rack
        self.writer = None
        peers = ",".join(f"m{n}=http://{self.rack.address_of(n)}:2380" for n in MEMBERS)
        for which in MEMBERS:
            at = f"http://{self.rack.address_of(which)}"
            programs.start(
                which, f"etcd{which}", "etcd", "--name", f"m{which}", "--data-dir",
                self.rack.folder / f"etcd{which}", "--listen-peer-urls", f"{at}:2380",
                "--initial-advertise-peer-urls", f"{at}:2380", "--advertise-client-urls", f"{at}:2379",
                "--listen-client-urls", f"{at}:2379,http://127.0.0.1:2379", "--initial-cluster", peers,
                "--heartbeat-interval", HEARTBEAT_MS, "--election-timeout", ELECTION_MS,
                "--unsafe-no-fsync", f"--pre-vote={'true' if pre_vote else 'false'}",
                "--log-outputs", "stderr", "--logger", "zap")
        wait_for(self.united, seconds=40)

    def status(self, which):
        """(term, id of the leader it follows or None, revision, own id) as a member tells, or None."""
        said = ask(self.rack, which, 2379, "/v3/maintenance/status", {})
        if said is None:
            return None
        return (int(said["raftTerm"]), said.get("leader"), int(said["header"]["revision"]),
                said["header"]["member_id"])

    def common(self, members, parts):
        """The first so many parts of what these members say, when they say the same of a leader, or
        None."""
        said = [self.status(which) for which in members]
        if any(one is None or one[1] is None for one in said):
            return None
        return said[0][:parts] if len({one[:parts] for one in said}) == 1 else None

    def united(self, members=MEMBERS):
        """(term, leader) that all of them say, or None."""
        return self.common(members, 2)

    def agreed(self):
        """(term, leader, revision) that all of them say, or None."""
        return self.common(MEMBERS, 3)

    def heals(self):
        """Waits until all follow one leader and each has all that any of them had then."""
        wait_for(self.united, seconds=40)
        highest = max(self.status(which)[2] for which in MEMBERS)
        wait_for(lambda: all((said := self.status(which)) is not None and said[2] >= highest
                             for which in MEMBERS), seconds=40)
        wait_for(self.united, seconds=40)

    def term(self):
        """The highest term that any member knows."""
        return max(one[0] for which in MEMBERS if (one := self.status(which)) is not None)

    def leader(self):
        """The node of the member that says that it leads itself."""
        for which in MEMBERS:
            said = self.status(which)
            if said is not None and said[1] == said[3]:
                return which
        return None

    def write(self):
        """Starts the client."""
        self.writer = self.rack.spawn(
            CLIENT, sys.executable, "-c", WRITER, *map(self.rack.address_of, MEMBERS))
        assert self.writer.stdout.readline() == "ready\n"

    def written(self):
        """Ends the client; (how many writes it tried, [number, asked at, acknowledged at])."""
        self.writer.send_signal(signal.SIGINT)
        return json.loads(self.writer.communicate(timeout=20)[0])

    def end(self):
        """Ends the client if it is still there. Members are ended by who started them."""
        if self.writer is not None and self.writer.poll() is None:
            self.writer.kill()
            self.writer.wait(timeout=5)

    def keys(self, which):
        """The numbers of the keys that a member has, by a read that the majority confirms."""
        first, end = (base64.b64encode(text).decode() for text in (b"k", b"l"))
        said = ask(self.rack, which, 2379, "/v3/kv/range",
                   {"key": first, "range_end": end, "keys_only": True}, seconds=10)
        assert said is not None
        return {int(base64.b64decode(pair["key"])[1:]) for pair in said.get("kvs", ())}
