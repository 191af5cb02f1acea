"""One scenario for each model, in the smallest form that uses all of it. What they do to a fixed
capture is frozen in digests.json, by tests/sim/test_sim_golden.py, which can also gather new ones."""

MODELS = {
    "bernoulli": ["loss: 3%"],
    "bernoulli-mark": ["loss: {rate: 30%, action: mark-ce}"],
    "gilbert": ["loss: {model: gilbert, p: 2%, r: 30%}"],
    "gilbert-elliott": ["loss: {model: gilbert-elliott, p: 2%, r: 30%, loss_bad: 80%, "
                        "loss_good: 1%}"],
    "gilbert-flips": ["loss: {model: gilbert, p: 60%, r: 70%}"],
    "gilbert-by-rate": ["loss: {model: gilbert, rate: 5%, burst: 4, start: good}"],
    "gilbert-in-time": ["loss: {model: gilbert, p: 5%, r: 20%, clock: time, loss_bad: 90%}"],
    "correlated": ["loss: {model: correlated, rate: 5%, correlation: 60%}"],
    "markov4": ["loss: {model: markov4, p13: 1%, p31: 20%, p32: 10%, p23: 30%, p14: 0.1%}"],
    "markov4-by-rate": ["loss: {model: markov4, rate: 5%, burst: 8, density: 60%, isolated: 0.1%, "
                        "burst_gap: 3}"],
    "every": ["loss: {model: every, n: 7, offset: 3}"],
    "list": ["loss: {model: list, packets: [3, 50-90, 900]}"],
    "burst": ["loss: {model: burst, length: 5, probability: 1%}"],
    "burst-in-time": ["loss: {model: burst, length: 5, every: 3ms}"],
    "outage": ["loss: {model: outage, up: 5ms, down: 2ms}"],
    "outage-exponential": ["loss: {model: outage, up: 5ms, down: 2ms, "
                           "distribution: exponential}"],
    "bit-error": ["loss: {model: bit-error, ber: 1e-4}"],
    "all": ["loss: all"],
    "delay": ["delay: 40123us"],
    **{f"free-{law}": ["delay: {time: 10ms, jitter: 2ms, order: free, "
                       f"distribution: {law}}}"] for law in
       ("uniform", "normal", "exponential", "'gamma', shape: 2.5", "'lognormal', shape: 1",
        "'weibull', shape: 0.7", "'pareto', shape: 3", "paretonormal")},
    **{f"keep-{law}": ["delay: {time: 10ms, jitter: 200us, "
                       f"distribution: {law}}}"] for law in
       ("uniform", "normal", "exponential", "'gamma', shape: 2.5", "'lognormal', shape: 0.5",
        "'weibull', shape: 1.5", "'pareto', shape: 3, max: 13ms", "paretonormal, max: 13ms")},
    "free-correlated": ["delay: {time: 10ms, jitter: 2ms, distribution: 'gamma', shape: 2, "
                        "order: free, correlation: 70%}"],
    "free-table": ["delay: {time: 10ms, jitter: 2ms, distribution: table, order: free, "
                   "contents: '-9000 -3000 100 4000 20000'}"],
    "keep-table": ["delay: {time: 10ms, jitter: 200us, distribution: table, "
                   "contents: \"0.1,-1\\n0.5,0\\n0.9,2\"}"],
    "per-flow": ['delay: {time: {draw: "uniform(10ms, 50ms)", per: flow}}'],
    "per-flow-jitter": ['delay: {time: {draw: "exponential(9ms)", per: flow}, '
                        'jitter: {draw: "normal(90us, 10us)", per: flow}, distribution: normal}'],
    "trace": ['delay: {trace: t, contents: "0,900\\n5000,4000\\n9000,100", '
              'interpolate: linear, loop: true}'],
    "trace-step": ['delay: {trace: t, contents: "0,900\\n5000,4000\\n9000,100"}'],
    "distance": ["delay: {distance: 5000km}"],
    "rate": ["rate: {rate: 30Mbit, overhead: 24B, minimum: 84B}"],
    "rate-queue": ["rate: {rate: 30Mbit, cell: 48B, cell_overhead: 5B}", "queue: {limit: 40p}"],
}


TRACE = r'link_trace: {file: radio, contents: "0\n3\n3\n7\n12\n20\n"}'
FRAME = "ffffffffffff020000000009080600010800060400010200000000"
# Those that need traffic of every shape.
CATALOGUE = {
    "corrupt-bits": ["corrupt: {rate: 50%, bits: 3}"],
    "corrupt-every": ["corrupt: {where: payload, checksum: fix}"],
    "corrupt-bursts": ["corrupt: {where: l3, burst: 20, checksum: fix}",
                       "corrupt: {where: l2, bits: 2}"],
    "corrupt-ber": ["corrupt: {ber: 0.1%, checksum: break}"],
    "corrupt-swap": ["corrupt: {where: payload, swap_words: true, checksum: fix}"],
    "corrupt-bytes": ["corrupt: {where: 14, bytes: \"00ff00ff00ff\", checksum: fix}",
                      "corrupt: {rate: 30%, where: l4, bytes: \"abcd\"}"],
    "duplicate": ["duplicate: {rate: 50%, copies: 3, delay: 1ms}", "loss: 10%"],
    "replay": ["replay: {rate: 50%, age: 1s}"],
    "truncate": ["truncate: {to: 100B, checksum: fix}", "truncate: {rate: 30%, to: 20B}"],
    "mtu-drop": ["mtu: {size: 100B}"],
    "mtu-fragment": ["mtu: {size: 68B, action: fragment}"],
    "mtu-icmp": ["mtu: {size: 120B, action: icmp}"],
    "set-fields": ["set: {ttl: 1, dscp: 46, ecn: ce, src: 192.0.2.1, dst: \"2001:db8::2\", "
                   "sport: 7, dport: 9}"],
    "set-link": ["set: {src_mac: \"02:00:00:00:00:01\", vlan: {push: 7, pcp: 3}}",
                 "set: {rate: 50%, window: 1, vlan: 9}"],
    "set-tags": ["set: {vlan: none}", "set: {vlan: {pop: true}}", "set: {vlan: {rewrite: 5}}"],
    "tcp-options": ["tcp: {strip_option: [mss, sack, timestamp, window-scale], clamp_mss: 500}"],
    "tcp-window": ["tcp: {zero_window: true, only: acks}"],
    "tcp-reset": ["tcp: {reset: both, rate: 50%}"],
    "icmp-unreachable": ["icmp_unreachable: {code: admin, rate: 50%}"],
    "reject": ["reject: {rate: 50%}"],
    "mark-ce": ["mark_ce: 70%"],
    "head-drop": ["rate: {rate: 20Mbit, cell: 48B, cell_overhead: 5B}",
                  "queue: {limit: 20KB, discipline: head}"],
    "red": ["rate: 30Mbit", "queue: {limit: 60p, discipline: red, ecn: true}"],
    "codel": ["rate: 30Mbit", "queue: {limit: 60p, discipline: codel, ecn: true}"],
    "pie": ["rate: 30Mbit", "queue: {limit: 60p, discipline: pie}"],
    "police": ["police: {rate: 6Mbit, burst: 2KB, action: mark-ce}"],
    "slot": ["slot: {min: 5ms, max: 20ms, packets: 30, bytes: 9KB}", "queue: {limit: 500p}"],
    "link-trace": [TRACE, "queue: {limit: 100ms}"],
    "stop-after": ["stop_after: 500"],
    "reorder": ["delay: 10ms", "reorder: {mode: early, rate: 50%, gap: 3}",
                "reorder: {mode: late, rate: 30%, by: 7ms}"],
    "reorder-packets": ["reorder: {mode: late, rate: 20%, by: 3p}"],
    "inject": [f"inject: {{hex: {FRAME}, every: 10ms, count: 20}}", "duplicate: 20%",
               "mtu: {size: 90B, action: fragment}", "corrupt: {rate: 10%, checksum: fix}",
               "delay: {time: 2ms, jitter: 1ms, order: free}", "rate: 20Mbit",
               "queue: {limit: 300p, discipline: codel}"],
}


def scenario(name, per="rule"):
    """The scenario of one model as text."""
    return "\n".join(["version: 1", "seed: 20260101", "rules:", f"  - name: model",
                      f"    per: {per}", "    impair:",
                      *(f"      - {each}" for each in (MODELS | CATALOGUE)[name])]) + "\n"
