"""Capture files and made-up traffic, a million packets at a time: pcap (ns) and pcapng written and
read with numpy, and a generator of UDP packets that can be told apart by a serial number. What
should happen to a packet is never decided here."""

import struct
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .philox import philox

PCAP_NS_MAGIC, PCAP_US_MAGIC = 0xA1B23C4D, 0xA1B2C3D4
SECTION, INTERFACE, ENHANCED = 0x0A0D0D0A, 1, 6
OPTION_COMMENT, OPTION_NAME, OPTION_RESOLUTION = 1, 2, 9
ETHERNET = 1
SERIAL_AT = 42  # behind Ethernet, IPv4 and UDP headers


@dataclass
class Capture:
    """Packets as arrays. `bytes_` holds one frame a row, zero behind its length; the rows' width is
    a multiple of 4."""
    time_ns: np.ndarray
    length: np.ndarray
    bytes_: np.ndarray
    interface: np.ndarray = None
    names: list = field(default_factory=list)
    comments: list = None  # to be written: bytes or None for each packet

    def __post_init__(self):
        if self.interface is None:
            self.interface = np.zeros(len(self.time_ns), dtype=np.uint32)

    def __len__(self):
        return len(self.time_ns)

    def frame(self, index):
        return self.bytes_[index, :self.length[index]].tobytes()

    def serial(self):
        """The number each generated packet carries in its payload."""
        return self.bytes_[:, SERIAL_AT:SERIAL_AT + 8].copy().view(">u8").ravel().astype(np.int64)

    def take(self, selection):
        """A copy of the packets at these positions (or where the mask is True), in that order."""
        columns = (self.time_ns, self.length, self.bytes_, self.interface)
        return Capture(*(column[selection].copy() for column in columns), list(self.names))


def merge(captures):
    """One capture of several in order of time; of equal times, the earlier capture's come first."""
    width = max(capture.bytes_.shape[1] for capture in captures)
    padded = [np.pad(capture.bytes_, ((0, 0), (0, width - capture.bytes_.shape[1])))
              for capture in captures]
    times = np.concatenate([capture.time_ns for capture in captures])
    order = np.argsort(times, kind="stable")
    return Capture(times[order], np.concatenate([c.length for c in captures])[order],
                   np.concatenate(padded)[order],
                   np.concatenate([c.interface for c in captures])[order], captures[0].names)


def from_frames(frames, times_ns):
    """A capture of a few frames given as bytes."""
    width = (max((len(frame) for frame in frames), default=0) + 3) // 4 * 4
    rows = b"".join(frame.ljust(width, b"\0") for frame in frames)
    return Capture(np.array(times_ns, dtype=np.uint64),
                   np.array([len(frame) for frame in frames], dtype=np.int64),
                   np.frombuffer(rows, dtype=np.uint8).reshape(len(frames), width))


# -- writing --------------------------------------------------------------------------------------

def _selected(parts, lengths):
    """The rows of `parts` side by side as one stream of bytes, each part cut to its length."""
    masks = [np.ones(part.shape, dtype=bool) if length is None
             else np.arange(part.shape[1]) < length[:, None]
             for part, length in zip(parts, lengths)]
    return np.concatenate(parts, axis=1)[np.concatenate(masks, axis=1)]


def write_pcap(path, capture, link_type=ETHERNET, nanoseconds=True):
    unit = 10**9 if nanoseconds else 10**6
    times = capture.time_ns if nanoseconds else capture.time_ns // np.uint64(1000)
    header = np.empty((len(capture), 4), dtype="<u4")
    header[:, 0] = times // np.uint64(unit)
    header[:, 1] = times % np.uint64(unit)
    header[:, 2] = header[:, 3] = capture.length
    with open(path, "wb") as file:
        magic = PCAP_NS_MAGIC if nanoseconds else PCAP_US_MAGIC
        file.write(struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 262144, link_type))
        _selected((header.view(np.uint8), capture.bytes_), (None, capture.length)).tofile(file)


def _block(kind, body):
    total = 12 + len(body)
    return struct.pack("<II", kind, total) + body + struct.pack("<I", total)


def _option(code, value):
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def write_pcapng(path, capture, link_type=ETHERNET):
    """Interfaces are capture.names (one without a name if there are none)."""
    with open(path, "wb") as file:
        file.write(_block(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        for name in capture.names or [""]:
            options = _option(OPTION_NAME, name.encode()) if name else b""
            options += _option(OPTION_RESOLUTION, b"\x09") + _option(0, b"")
            file.write(_block(INTERFACE, struct.pack("<HHI", link_type, 0, 0) + options))
        if capture.comments is None:
            _write_plain_packets(file, capture)
        else:
            _write_commented_packets(file, capture)


def _write_plain_packets(file, capture):
    padded = (capture.length + 3) // 4 * 4
    header = np.empty((len(capture), 7), dtype="<u4")
    header[:, 0] = ENHANCED
    header[:, 1] = 32 + padded
    header[:, 2] = capture.interface
    header[:, 3] = capture.time_ns >> np.uint64(32)
    header[:, 4] = capture.time_ns & np.uint64(0xFFFFFFFF)
    header[:, 5] = header[:, 6] = capture.length
    trailer = np.ascontiguousarray(header[:, 1:2])
    _selected((header.view(np.uint8), capture.bytes_, trailer.view(np.uint8)),
              (None, padded, None)).tofile(file)


def _write_commented_packets(file, capture):
    for index, comment in enumerate(capture.comments):
        time, frame = int(capture.time_ns[index]), capture.frame(index)
        body = struct.pack("<IIIII", int(capture.interface[index]), time >> 32, time & 0xFFFFFFFF,
                           len(frame), len(frame)) + frame + bytes(-len(frame) % 4)
        if comment is not None:
            body += _option(OPTION_COMMENT, comment) + _option(0, b"")
        file.write(_block(ENHANCED, body))


# -- reading --------------------------------------------------------------------------------------

class PcapngError(ValueError):
    """The file is not the little-endian pcapng of one section with ns times that it must be."""


class PcapngFile:
    """A pcapng as read: looks like a Capture, and remembers where each packet's parts stand in the
    file. Frames are gathered when first asked for."""

    def __init__(self, words, starts, sizes, names, may_be_cut=False):
        self.words = words
        self.names = names
        self.interface = words[starts + 2].copy()
        self.time_ns = (words[starts + 3].astype(np.uint64) << np.uint64(32)) | words[starts + 4]
        self.length = words[starts + 5].astype(np.int64)
        self.original_length = words[starts + 6].astype(np.int64)
        if (self.original_length != self.length).any() and not may_be_cut:
            raise PcapngError("a frame cut short")
        data_words = (self.length + 3) // 4
        self._data_start = starts + 7
        self.option_start = self._data_start + data_words
        self.option_count = sizes - 8 - data_words
        if (self.option_count < 0).any():
            raise PcapngError("a frame longer than its block")

    def __len__(self):
        return len(self.time_ns)

    @cached_property
    def bytes_(self):
        width = int((self.length.max() + 3) // 4) if len(self) else 0
        data = np.empty((len(self), width), dtype="<u4")
        for first in range(0, len(self), 1 << 16):  # in parts: the index is twice the data
            part = slice(first, first + (1 << 16))
            at = self._data_start[part, None] + np.arange(width)
            data[part] = self.words[np.minimum(at, len(self.words) - 1)]
        frames = data.view(np.uint8).reshape(len(self), width * 4)
        frames[np.arange(width * 4) >= self.length[:, None]] = 0
        return frames

    def frame(self, index):
        start = int(self._data_start[index])
        return self.words[start:int(self.option_start[index])].tobytes()[:self.length[index]]

    def serial(self):
        """Capture.serial, without gathering the frames: bytes 42 to 49 lie in words 10 to 12."""
        if len(self) and self.length.min() < SERIAL_AT + 8:
            raise PcapngError("a frame too short for a serial number")
        words = self.words[self._data_start[:, None] + np.array([10, 11, 12])]
        raw = np.ascontiguousarray(words).view(np.uint8).reshape(-1, 12)[:, 2:10]
        return raw.copy().view(">u8").ravel().astype(np.int64)

    def option_words(self, selection):
        """The raw options of the selected packets, one row each; they must be equally long."""
        starts, counts = self.option_start[selection], self.option_count[selection]
        if len(counts) and (counts != counts[0]).any():
            raise PcapngError("options of different lengths")
        return self.words[starts[:, None] + np.arange(counts[0] if len(counts) else 0)]

    def comment(self, index):
        """The comments of one packet as a list of texts."""
        start = int(self.option_start[index])
        raw = self.words[start:start + int(self.option_count[index])].tobytes()
        return [value.decode() for code, value in _options(raw) if code == OPTION_COMMENT]


def read_pcapng(path, may_be_cut=False):
    """Reads and checks: every block closes with its own length, the last one ends the file, times
    are in ns; frames are whole unless they may be cut."""
    raw = np.fromfile(path, dtype=np.uint8)
    if len(raw) % 4 or len(raw) < 28:
        raise PcapngError(f"{len(raw)} bytes cannot be a pcapng")
    words = raw.view("<u4")
    if words[0] != SECTION or words[2] != 0x1A2B3C4D:
        raise PcapngError("no little-endian section")
    starts = _block_starts(words)
    kinds, sizes = words[starts], words[starts + 1].astype(np.int64) // 4
    if (words[starts + sizes - 1] != words[starts + 1]).any():
        raise PcapngError("a block's two lengths differ")
    if (kinds == SECTION).sum() != 1:
        raise PcapngError("more than one section")
    names = [_interface_name(words[at:at + size].tobytes())
             for at, size in zip(starts[kinds == INTERFACE], sizes[kinds == INTERFACE])]
    packets = kinds == ENHANCED
    return PcapngFile(words, starts[packets], sizes[packets], names, may_be_cut)


def _block_starts(words):
    view = memoryview(words)
    position, end, starts = 0, len(view), []
    while position < end:
        starts.append(position)
        size = view[position + 1]
        if size < 12 or size % 4:
            raise PcapngError(f"a block of {size} bytes")
        position += size >> 2
    if position != end:
        raise PcapngError("the last block is cut short")
    return np.array(starts, dtype=np.int64)


def _options(raw):
    position = 0
    while position + 4 <= len(raw):
        code, length = struct.unpack_from("<HH", raw, position)
        if code == 0:
            return
        yield code, raw[position + 4:position + 4 + length]
        position += 4 + (length + 3) // 4 * 4


def _interface_name(block):
    if struct.unpack_from("<H", block, 8)[0] != ETHERNET:
        raise PcapngError("an interface that is not Ethernet")
    options = dict(_options(block[16:-4]))
    if options.get(OPTION_RESOLUTION) != b"\x09":
        raise PcapngError("an interface whose times are not ns")
    return options.get(OPTION_NAME, b"").decode()


# -- traffic --------------------------------------------------------------------------------------

FIRST_NS = 1_700_000_000_123_456_789
LENGTHS = np.array([60, 61, 66, 82])


@dataclass
class Traffic:
    """Generated packets and what a test may want to know of them."""
    capture: Capture
    flow: np.ndarray  # of each packet, from 0


def udp_traffic(count, flows=20, *, spacing_ns=1000, salt=1, first_ns=FIRST_NS, first_serial=0,
                backwards=False, network=0):
    """`count` UDP packets in `flows` flows, mixed at random, `spacing_ns` apart on average with a
    jitter of as much (so that a few times are equal); frames of four lengths; every payload begins
    with a serial number and goes on with noise. Deterministic: all randomness is Philox's.

    Flow f is 10.NETWORK.0.f:(10000+f) > 10.NETWORK.1.f:(20000+f), or `backwards` its reverse."""
    serial = np.arange(first_serial, first_serial + count, dtype=np.uint64)
    draws = philox((salt, 0x7E57), (serial & np.uint64(0xFFFFFFFF), serial >> np.uint64(32), 0, 0))
    flow = ((draws[0] * np.uint64(flows)) >> np.uint64(32)).astype(np.int64)
    steps = np.arange(count, dtype=np.uint64) * np.uint64(spacing_ns)
    jitter = (draws[1] * np.uint64(2 * spacing_ns)) >> np.uint64(32)
    time = np.uint64(first_ns) + np.sort(steps + jitter)
    length = LENGTHS[(draws[2] >> np.uint64(30)).astype(np.intp)]
    frames = _udp_frames(serial, flow, length, draws[3], network, backwards)
    return Traffic(Capture(time, length, frames), flow)


def _udp_frames(serial, flow, length, noise, network, backwards):
    width = (int(LENGTHS.max()) + 3) // 4 * 4
    client = (bytes.fromhex("020000000001"), bytes((10, network, 0)), 10000)
    server = (bytes.fromhex("020000000002"), bytes((10, network, 1)), 20000)
    source, destination = (server, client) if backwards else (client, server)
    template = bytearray(width)
    template[0:14] = destination[0] + source[0] + b"\x08\x00"
    template[14:34] = bytes.fromhex("45000000000000004011") + bytes(10)
    template[26:29], template[30:33] = source[1], destination[1]
    frames = np.tile(np.frombuffer(bytes(template), dtype=np.uint8), (len(serial), 1))

    def put_be16(at, values):
        frames[:, at] = (values >> 8) & 0xFF
        frames[:, at + 1] = values & 0xFF

    put_be16(16, length - 14)
    put_be16(18, (serial & np.uint64(0xFFFF)).astype(np.int64))
    frames[:, 29] = frames[:, 33] = flow
    halves_of_header = frames[:, 14:34].copy().view(">u2").astype(np.int64).sum(axis=1)
    folded = (halves_of_header & 0xFFFF) + (halves_of_header >> 16)
    put_be16(24, 0xFFFF - ((folded & 0xFFFF) + (folded >> 16)))
    put_be16(34, source[2] + flow)
    put_be16(36, destination[2] + flow)
    put_be16(38, length - 34)  # the UDP checksum stays 0: none
    frames[:, 42:50] = serial.astype(">u8")[:, None].view(np.uint8)
    tail = np.frombuffer(noise.astype("<u4").tobytes(), dtype=np.uint8).reshape(-1, 4)
    frames[:, 50:] = np.tile(tail, (1, width // 4 + 1))[:, :width - 50]
    frames[np.arange(width) >= length[:, None]] = 0
    return frames
