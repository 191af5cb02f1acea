"""A learning bridge, written independently: which ports a frame leaves by."""


class Bridge:
    """Ports are names; stations are told by MAC address and VLAN, and forgotten after `age_ns`."""

    def __init__(self, ports, age_ns=300 * 10**9):
        self.ports, self.age_ns = list(ports), age_ns
        self.heard = {}

    @staticmethod
    def vlan(frame):
        tagged = frame[12:14] in (b"\x81\x00", b"\x88\xa8")
        return int.from_bytes(frame[14:16], "big") & 0xFFF if tagged else 0

    def receive(self, port, frame, now_ns):
        """The ports it leaves by; none: it would go back to where it came from."""
        vlan = self.vlan(frame)
        if not frame[6] & 1:
            self.heard[frame[6:12], vlan] = port, now_ns
        where, when = self.heard.get((frame[:6], vlan), (None, 0))
        if frame[0] & 1 or where is None or now_ns - when > self.age_ns:
            return [other for other in self.ports if other != port]
        return [where] if where != port else []
