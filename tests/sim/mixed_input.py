"""A capture of mixed traffic, and what tests of edits want to know of its packets."""

import numpy as np

from model import captures, edits, laws
from model.flows import IPV4, IPV6, LINK, FlowKey, numbers_in_flow


class Mix:
    """Frames in a capture, 1 us apart, with their parts, how wrong their checksums are, and the
    identity and number that their dice are thrown with."""

    def __init__(self, path, frames, seed):
        self.path, self.frames, self.seed = path, frames, seed
        self.parts = [edits.parts_of(frame) for frame in frames]
        self.times = captures.FIRST_NS + 1000 * np.arange(len(frames))
        capture = captures.from_frames(frames, self.times)
        captures.write_pcap(path, capture)
        self.bytes_ = capture.bytes_
        self.errors = [edits.errors(*each) for each in zip(frames, self.parts)]
        self.wholes = edits.datagrams(frames, self.parts)
        keys = [key_of(*each) for each in zip(frames, self.parts)]
        known = {key: at for at, key in enumerate(dict.fromkeys(keys))}
        flows = np.array([known[key] for key in keys])
        table = np.array([key[0].identity() for key in known], dtype=np.uint64)
        self.identity, self.number = table[flows], numbers_in_flow(flows)
        # VLANs have numbers of their own but no dice: of those alike one counts for statistics.
        dice = np.stack([self.identity, self.number], axis=1)
        self.own_dice = np.zeros(len(frames), dtype=bool)
        self.own_dice[np.unique(dice, axis=0, return_index=True)[1]] = True
        self.raw_errors = [(edits.header_error(*each), edits.transport_error(*each))
                           for each in zip(frames, self.parts)]
        self.later = np.array([parts.fragment == "later" for parts in self.parts])
        self.sums = np.zeros(self.bytes_.shape, dtype=bool)
        for at, parts in enumerate(self.parts):
            self.sums[at, list(parts.sums())] = True

    def hit(self, rate, place=0, rule="r"):
        """Which packets the dice of the place-th impairment of a rule hit."""
        return laws.bernoulli(self.seed, rule, place, rate, self.identity, self.number)


def key_of(frame, parts):
    """The directed flow of a packet, and its tags: each flow of a VLAN counts its own packets."""
    tags = tuple(edits.word(frame, 14 + 4 * at) & 0xFFF for at in range(min(parts.tags, 2)))
    if not parts.version:
        kind = edits.word(frame, 12 + 4 * parts.tags)
        return FlowKey(LINK, frame[6:12], frame[:6], kind if kind >= 0x600 else 0), tags
    size = 4 if parts.version == 4 else 16
    at = parts.l3 + (12 if parts.version == 4 else 8)
    ports = parts.protocol in (edits.TCP, edits.UDP, edits.SCTP) and parts.l4 and not parts.fragment
    return FlowKey(IPV4 if parts.version == 4 else IPV6, frame[at:at + size],
                   frame[at + size:at + 2 * size], 0x0800 if parts.version == 4 else 0x86DD,
                   parts.protocol, *((edits.word(frame, parts.l4), edits.word(frame, parts.l4 + 2))
                                     if ports else ())), tags
