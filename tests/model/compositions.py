"""Random scenarios: a few rules with random keys and impairments of every kind, and what may be said
of each without running it. Text only; seeded by the caller's random.Random."""

LOSSES = ["loss: 5%", "loss: {model: gilbert-elliott, p: 5%, r: 30%}", "loss: {model: every, n: 6}",
          "loss: {model: burst, length: 3, probability: 2%}", "loss: {model: bit-error, ber: 1e-5}",
          "loss: {model: correlated, rate: 5%, correlation: 40%}",
          "loss: {model: outage, up: 8ms, down: 2ms, distribution: exponential}",
          "loss: {model: bernoulli, rate: 20%, action: mark-ce}", "loss: {model: list, packets: [1, 9-30]}"]
EDITS = ["corrupt: {rate: RATE, bits: 5}", "corrupt: {rate: RATE, where: payload, checksum: fix}",
         "corrupt: {ber: 0.01%, checksum: break}", "corrupt: {rate: RATE, where: l4, swap_words: true}",
         "truncate: {rate: RATE, to: 70B, checksum: fix}", "truncate: {rate: RATE, to: 50B}",
         "set: {rate: RATE, ttl: 3, dst: 192.0.2.1, ecn: ce}", "set: {rate: RATE, vlan: {push: 7}}",
         "set: {rate: RATE, vlan: none, dport: 9}", "set: {rate: RATE, vlan: 9, dscp: 8}",
         "tcp: {rate: RATE, strip_option: [mss, sack], clamp_mss: 400}", "tcp: {zero_window: true}",
         "mark_ce: RATE"]
ENDS = ["icmp_unreachable: {rate: RATE, code: host}", "reject: {rate: RATE}", "mtu: {size: 300B}",
        "mtu: {size: 500B, action: icmp}", "tcp: {rate: RATE, reset: both}", "stop_after: 150",
        "police: {rate: 9Mbit, burst: 6KB}", "police: {rate: 5Mbit, burst: 4KB, action: mark-ce}"]
ORDERLY = ["delay: 3ms", "delay: {time: 4ms, jitter: 1ms, distribution: normal}",
           "delay: {time: {draw: \"uniform(1ms, 5ms)\", per: flow}}"]
SERVERS = ["rate: 12Mbit", "rate: {rate: 8Mbit, overhead: 24B, minimum: 84B}",
           "slot: {min: 1ms, max: 3ms, packets: 9}",
           "link_trace: {file: radio, contents: \"0\\n1\\n1\\n2\\n4\\n\"}"]
QUEUES = ["queue: {limit: 20p}", "queue: {limit: 9KB}", "queue: {limit: 4ms}",
          "queue: {limit: 30p, discipline: head}", "queue: {limit: 40p, discipline: codel, ecn: true}",
          "queue: {limit: 40p, discipline: red}", "queue: {limit: 40p, discipline: pie, ecn: true}"]
BREAKERS = ["delay: {time: 4ms, jitter: 2ms, distribution: uniform, order: free}",
            "replay: {rate: RATE, age: 9ms}", "duplicate: {rate: RATE, copies: 2, delay: 700us}",
            "reorder: {mode: late, rate: RATE, by: 2ms}"]
COPIES = ["duplicate: RATE", "duplicate: {rate: RATE, copies: 2}", "mtu: {size: 200B, action: fragment}"]
INJECT = "inject: {hex: ffffffffffff0200000000010bad, at: 1ms, every: 3ms, count: 7}"
OF_FLOWS = ["{proto: udp}", "{proto: tcp}", "{ethertype: ipv6}", "{not: {proto: udp}}"]
OF_PACKETS = ["{len: 60-400}", "{fragment: true}", "{nth: 40}", "{first: 200}", "{tcp: {flags: [syn]}}",
              "{ecn: ect0}", "{any: [{sport: 1-100}, {dport: 443}]}", "{vlan: 7}"]


class Composition:
    """One scenario. orderly: nothing in it lets packets of a flow overtake each other."""

    def __init__(self, source):
        self.source = source
        self.orderly = True
        self.exotic = source.random() < 0.7  # else the order is to be kept
        rules = [self.rule(at) for at in range(source.randint(1, 5))]
        self.text = "version: 1\nname: made\n" + f"seed: {source.randrange(1 << 60)}\nrules:\n" + (
            "".join(rules))

    def rule(self, at):
        pick = self.source.choice
        keys = [f"  - name: rule{at}\n"]
        if self.source.random() < 0.4:
            keys.append(f"    from: {pick(['left', 'right'])}\n")
        elif self.source.random() < 0.2:
            keys.append("    shared: true\n")
        if self.source.random() < 0.5:
            keys.append(f"    per: {pick(['rule', 'flow', 'source', 'destination', 'pair'])}\n")
        if self.source.random() < 0.3:
            keys.append(f"    draw: {pick(['flow', 'connection', 'arrival'])}\n")
        if self.source.random() < 0.15:
            keys.append("    final: true\n")
        if self.source.random() < 0.15 and self.exotic:
            keys.append("    ttl: 30ms\n")
            self.orderly = False
        if self.source.random() < 0.5:
            keys.append(f"    match: {self.match()}\n")
        impair = [line for _ in range(self.source.randint(1, 3)) for line in self.impairment()]
        return "".join(keys) + "    impair:\n" + "".join(f"      - {line}\n" for line in impair)

    def match(self):
        if self.exotic and self.source.random() < 0.6:
            self.orderly = False
            return self.source.choice(OF_PACKETS)
        return self.source.choice(OF_FLOWS)

    def impairment(self):
        pick = self.source.choice
        rate = pick(["3%", "20%", "60%", "100%"])
        kinds = [LOSSES, EDITS, EDITS, ENDS, ORDERLY, SERVERS]
        kind = pick(kinds + [BREAKERS, COPIES, "early", "inject"] if self.exotic else kinds)
        if kind == "inject":
            return [INJECT]
        if kind == "early":
            self.orderly = False
            return ["delay: 3ms", f"reorder: {{mode: early, rate: {rate}, gap: 3}}"]
        if kind is SERVERS:
            server = pick(SERVERS)
            tail = QUEUES[:3] if server.startswith("slot") else QUEUES
            return [server, pick(tail)] if self.source.random() < 0.8 else [server]
        self.orderly = self.orderly and kind is not BREAKERS
        return [pick(kind).replace("RATE", rate)]
