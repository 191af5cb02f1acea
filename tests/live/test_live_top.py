"""faultline top: on a terminal of its own, which gets back what it had; in lines where there is none."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from traffic import Traffic
from wire import BUILD, PORTS, run

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
RULES = PORTS + """rules:
  - {name: wan, from: left, impair: [loss: {model: every, n: 2}], ttl: 60s}
  - {name: idle, enabled: false, impair: [delay: 20ms]}
""" + "".join(f"  - {{name: more{i}, enabled: false, impair: [loss: 1%]}}\n" for i in range(20))


class Screen:
    """A terminal with `faultline top` in it."""

    def __init__(self, wire, rows=40, columns=140):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [BUILD / "faultline", "--socket", wire.socket, "top"], stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True)
        self.slave = slave
        self.seen = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        """What is written in that time."""
        end = time.monotonic() + seconds
        text = b""
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                text += os.read(self.master, 65536)
        self.seen += text.decode()
        return text.decode()

    def wait_for(self, pattern, seconds=10):
        """Until a picture has it: the lines of that one."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pictures = self.read(0.12).split("\x1b[H")
            for picture in pictures[1:]:
                text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", picture)
                if re.search(pattern, text):
                    return re.split(r"\r*\n", text)  # the terminal makes \n a \r\n too
        raise AssertionError(f"no {pattern!r} in {self.seen[-2000:]!r}")

    def end(self):
        """Waits for the program's end; how it ended."""
        status = self.process.wait(timeout=10)
        self.read(0.1)
        return status

    def is_given_back(self):
        """Its mode is as before, and the last thing said was to leave."""
        assert self.seen.rindex(LEAVE) > self.seen.rindex(ENTER)
        assert self.seen.rindex("\x1b[?25h") > self.seen.rindex("\x1b[?25l")
        return termios.tcgetattr(self.slave) == self.before

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def test_top_shows_rates_and_faults(wire):
    """Rates of the traffic, the fault with its time left, ten pictures a second, another size; q."""
    wire.start(RULES, "--start")
    traffic = Traffic(wire, packets=-1, gap_s=0.002)
    with Screen(wire) as screen:
        screen.wait_for(r"wan +active +5\d\.\d s +[45]\d\d ")
        lines = screen.wait_for(r"left +[45]\d\d ")
        wan = next(line for line in lines if line.startswith("wan")).split()
        assert 150 < float(wan[5]) < 300 and 45 < float(wan[6].rstrip("%")) < 55, "every second"
        assert "balanced" in lines[3] and "idle                    off" in "\n".join(lines)
        assert 15 <= screen.read(2).count("\x1b[H") <= 21
        screen.resize(12, 60)
        lines = screen.wait_for(r"and \d+ more")
        assert len(lines) == 12 and max(map(len, lines)) <= 60
        os.write(screen.master, b"q")
        assert screen.end() == 0 and screen.is_given_back()
    traffic.stop()


def test_the_terminal_is_given_back(wire):
    """Whatever ends it, the terminal is as before."""
    wire.start(RULES)
    crashes = (signal.SIGABRT, signal.SIGSEGV)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *crashes):
        with Screen(wire) as screen:
            screen.wait_for("faultline top")
            assert termios.tcgetattr(screen.slave) != screen.before
            screen.process.send_signal(number)
            assert screen.end() == (-number if number in crashes else 0)
            assert screen.is_given_back()


def test_stopped_it_gives_the_terminal_back_for_a_while(wire):
    """Ctrl-Z and fg."""
    wire.start(RULES)
    with Screen(wire) as screen:
        screen.wait_for("faultline top")
        screen.process.send_signal(signal.SIGTSTP)
        os.waitpid(screen.process.pid, os.WUNTRACED)
        screen.read(0.1)
        assert screen.is_given_back()
        screen.process.send_signal(signal.SIGCONT)
        screen.wait_for("faultline top")
        assert screen.seen.rindex(ENTER) > screen.seen.rindex(LEAVE)


def test_a_daemon_that_goes_is_waited_for(wire):
    """It is said, and when another one is there its figures are shown."""
    wire.start(RULES, "--start")
    plain = subprocess.Popen([BUILD / "faultline", "--socket", wire.socket, "top"], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with Screen(wire) as screen:
        screen.wait_for(r"wan +active")
        wire.daemon.kill()
        wire.daemon.wait()
        assert "wan" in "\n".join(screen.wait_for(r"waiting: no daemon answers at "))
        assert "waiting" in plain.stderr.readline()
        wire.start(RULES)
        assert "pass-through" in screen.wait_for(r"faultline top .*generation 1")[0]
        assert "answers again" in plain.stderr.readline()
    plain.terminate()
    plain.wait()


def test_lines_without_a_terminal(wire):
    """A line a second, as text or JSON; without a daemon it says so (3)."""
    assert wire.cli("top", check=False).returncode == 3
    wire.start(RULES, "--start")
    traffic = Traffic(wire, packets=-1, gap_s=0.002)
    began = time.monotonic()
    line = run(BUILD / "faultline", "--socket", wire.socket, "top", "--count", 1).stdout
    assert 0.9 < time.monotonic() - began < 3
    assert re.fullmatch(r"[\d.]+ s  injecting  rx [45]\d\d pps .* own drops 0  "
                        r"wan: [45]\d\d/s, [12]\d\d/s dropped, 5\d\.\d s left\n", line), line
    figures = json.loads(wire.cli("top", "--count", 1, "--json").stdout)
    assert 400 < figures["ports"]["left"]["rx_pps"] < 550
    assert figures["rules"]["wan"]["active"] and figures["rules"]["wan"]["left_ns"] < 60e9
    assert figures["rules"]["idle"]["left_ns"] is None
    traffic.stop()
