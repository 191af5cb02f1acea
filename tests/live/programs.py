"""Real programs on the nodes of a rack: started in a namespace each, and ended whatever happens."""

import http.client
import json
import signal
import socket
import subprocess

from peers import socket_in
from rack import Rack, rack_scenario

# A worker that polls without a pause takes the core that half of the programs would have.
CALM = "workers: {power: sleep}\n"


class Programs:
    """What runs on a rack. Each says what it says into a file of the rack's folder, NAME.log."""

    def __init__(self, rack):
        self.rack = rack
        self.started = []

    def start(self, which, name, *words):
        """Starts a program on a node."""
        with open(self.rack.folder / f"{name}.log", "w", encoding="utf-8") as log:
            process = self.rack.spawn(which, *words, stdout=log, stdin=subprocess.DEVNULL)
        self.started.append(process)
        return process

    def said(self, name):
        """All that a program has said so far."""
        return (self.rack.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=60)  # one that writes to a slow disk goes when that has written


def calm_rack(nodes):
    """A rack with its daemon running; the caller closes it."""
    rack = Rack(nodes)
    try:
        rack.start(rack_scenario(nodes, CALM))
    except BaseException:
        rack.close()
        raise
    return rack


def pause_link(rack, node, ttl, buffer="10kp"):
    """Holds what a node sends and gets; all of it leaves, in order, when the time is over."""
    status, body = rack.http("PUT", "/v1/rules/pause", {
        "impair": [{"pause": {"node": node, "kind": "link", "buffer": buffer}}], "ttl": ttl})
    assert status in (200, 201), body


def ask(rack, which, port, path, question, seconds=3):
    """POSTs JSON to a program of a node from that node itself, past the switch; None: no answer."""
    connection = http.client.HTTPConnection(rack.address_of(which), port)
    try:
        connection.sock = socket_in(rack, which, kind=socket.SOCK_STREAM)
        connection.sock.settimeout(seconds)
        connection.sock.connect((rack.address_of(which), port))
        connection.request("POST", path, json.dumps(question))
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
