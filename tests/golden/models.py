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


def scenario(name, per="rule"):
    """The scenario of one model as text."""
    return "\n".join(["version: 1", "seed: 20260101", "rules:", f"  - name: model",
                      f"    per: {per}", "    impair:",
                      *(f"      - {each}" for each in MODELS[name])]) + "\n"
