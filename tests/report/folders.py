"""Run folders made up for tests: figures that agree with each other, of a run that never was."""

import json
import random

SCENARIO = """version: 1
name: {name}
seed: 42
lateness: {{p99: 5ms}}
rules:
  - name: wan
    from: left
    impair:
      - loss: 5%
      - delay: {{time: 40ms, jitter: 5ms, distribution: normal, order: free}}
  - {{name: {burst}, from: left, enabled: false, impair: [loss: 50%]}}
timeline:
  - {{at: 10s, rule: {burst}, enable: true}}
  - {{at: 25s, rule: {burst}, disable: true}}
expect:
  - {{rule: wan, loss: "5% ± 0.5%"}}
"""


def bucket_of(value):
    """[least, most] of a log-linear bucket, 32 to a power of two."""
    if value < 32:
        return value, value
    shift = value.bit_length() - 6
    least = value >> shift << shift
    return least, least + (1 << shift) - 1


class MadeUpRun:
    """Samples of a rule that loses and delays, and of another that is on for a while."""

    def __init__(self, samples=400, spacing_ns=100_000_000, seed=1, burst="burst", name="made-up"):
        self.random = random.Random(seed)
        self.samples = samples
        self.spacing_ns = spacing_ns
        self.burst = burst
        self.name = name
        self.rules = {rule: {"matched": 0, "dropped": 0, "delayed": 0, "lost": 0, "judged": 0,
                             "delay": dict.fromkeys(("mean_ns", "p50_ns", "p99_ns", "max_ns"), 0)}
                      for rule in ("wan", burst)}
        self.ports = {port: dict.fromkeys(("rx_packets", "tx_packets", "rx_bytes", "tx_bytes"), 0)
                      for port in ("left", "right")}
        self.buckets = {}
        self.sum_ns = 0

    @staticmethod
    def judge(rule, judged, lost):
        """Dice that were thrown, and how many of them lost."""
        rule["judged"] += judged
        rule["lost"] += lost

    def step(self, number):
        """One sample further; the line of series.jsonl."""
        count = 180 + self.random.randrange(40)
        lost = sum(self.random.random() < 0.05 for _ in range(count))
        wan = self.rules["wan"]
        for key, more in (("matched", count), ("dropped", lost), ("delayed", count - lost)):
            wan[key] += more
        self.judge(wan, count, lost)
        delay = max(1, int(self.random.gauss(40e6, 5e6)))  # of all packets of the sample
        bucket = bucket_of(delay)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + count - lost
        self.sum_ns += delay * (count - lost)
        wan["delay"] = {"mean_ns": self.sum_ns // wan["delayed"], "p50_ns": 40_000_000,
                        "p99_ns": 51_000_000,
                        "max_ns": max(delay, wan["delay"]["max_ns"])}
        second = number * self.spacing_ns / 1e9
        passed = count - lost
        if 10 <= second < 25:
            burst = self.rules[self.burst]
            burst["matched"] += count  # also what is lost already, for which no dice are thrown
            hit = sum(self.random.random() < 0.5 for _ in range(passed))
            burst["dropped"] += hit
            self.judge(burst, passed, hit)
            passed -= hit
        left, right = self.ports["left"], self.ports["right"]
        left["rx_packets"] += count
        left["rx_bytes"] += 1000 * count
        right["tx_packets"] += passed
        right["tx_bytes"] += 1000 * passed
        return {"t_ns": (number + 1) * self.spacing_ns, "ports": self.ports, "rules": self.rules,
                "lateness": {"p99_ns": 640_000, "early": 0},
                "hold": {"packets": self.random.randrange(60, 90),
                         "bytes": self.random.randrange(60_000, 90_000)}}

    def statistics(self):
        """What the samples add up to."""
        dropped = {"loss": sum(rule["dropped"] for rule in self.rules.values()), "queue": 0,
                   "overflow": 0}
        received = self.ports["left"]["rx_packets"]
        zero = {"rx_missed": 0, "rx_errors": 0, "rx_no_mbuf": 0, "tx_full": 0, "tx_errors": 0}
        rules = {name: {**rule, "loss": {"judged": rule["judged"], "lost": rule["lost"],
                                         "mean_run": 1.05,
                                         "rate": rule["lost"] / max(1, rule["matched"])}}
                 for name, rule in self.rules.items()}
        return {"name": self.name, "seed": 42, "generation": 3,
                "uptime_ns": self.samples * self.spacing_ns,
                "ports": {name: {**port, **zero} for name, port in self.ports.items()},
                "rules": rules, "flows": {"active": 3},
                "hold": {"packets": 0, "bytes": 0, "capacity_bytes": 10**9, "peak_bytes": 90_000},
                "lateness": {"p50_ns": 18_000, "p99_ns": 640_000, "max_ns": 4_000_000, "early": 0},
                "ledger": {"received": received, "copies": 0, "injected": 0,
                           "sent": received - dropped["loss"], "held": 0, "dropped": dropped,
                           "balanced": True},
                "delays": {"wan": [[*bucket, packets] for bucket, packets in
                                   sorted(self.buckets.items())]}}

    def write(self, folder):
        """All files; returns the statistics."""
        with open(folder / "series.jsonl", "w", encoding="utf-8") as file:
            for number in range(self.samples):
                file.write(json.dumps(self.step(number), separators=(",", ":")) + "\n")
        statistics = self.statistics()
        wan = statistics["rules"]["wan"]
        observed = wan["loss"]["rate"]
        zero_ns = 7_000_000_000
        events = [{"n": 1, "t_ns": zero_ns, "kind": "policy", "generation": 2, "what": "run"},
                  {"n": 2, "t_ns": zero_ns + 10**10, "kind": "timeline", "generation": 3},
                  {"n": 3, "t_ns": zero_ns + 25 * 10**8 * 10, "kind": "timeline", "generation": 4}]
        verdict = {"verdict": "pass", "reasons": [], "warnings": [], "expectations": [
            {"rule": "wan", "expected": "loss 5% ± 0.5%", "observed": observed,
             "interval": [observed - 0.002, observed + 0.002], "pass": True, "unit": "share",
             "p_value": 0.7, "packets": wan["matched"]},
            {"rule": None, "expected": "ledger: balanced", "observed": 1, "interval": None,
             "pass": True, "unit": "truth", "p_value": None, "packets": None}]}
        flows = {"flows": [{"flow": f"udp 10.0.0.1:{5000 + i} > 10.0.0.2:9", "port": "left",
                            "packets": 30_000 // (i + 1), "idle_ns": 0, "core": 1}
                           for i in range(3)]}
        run = {"id": "1", "zero_unix_ns": 1_700_000_000_000_000_000, "zero_uptime_ns": zero_ns,
               "duration_ns": self.samples * self.spacing_ns, "ended_by": "duration",
               "elapsed_ns": self.samples * self.spacing_ns, "command": "echo traffic"}
        environment = {"run": run, "faultline": "0.1.0",
                       "machine": {"cpu": "made up", "cores": 2},
                       "ports": [{"name": "left", "mtu": 1500, "cores": [1]}]}
        for name, json_object in (("stats.json", statistics), ("verdict.json", verdict),
                                  ("flows.json", flows), ("environment.json", environment)):
            (folder / name).write_text(json.dumps(json_object), encoding="utf-8")
        (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events),
                                             encoding="utf-8")
        (folder / "scenario.yaml").write_text(SCENARIO.format(
            name=json.dumps(self.name), burst=json.dumps(self.burst)), encoding="utf-8")
        return statistics
