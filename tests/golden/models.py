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
    "rate": ["rate: {rate: 30Mbit, overhead: 24B, minimum: 84B}"],
    "rate-queue": ["rate: {rate: 30Mbit, cell: 48B, cell_overhead: 5B}", "queue: {limit: 40p}"],
}


def scenario(name, per="rule"):
    """The scenario of one model as text."""
    return "\n".join(["version: 1", "seed: 20260101", "rules:", f"  - name: {name}",
                      f"    per: {per}", "    impair:",
                      *(f"      - {each}" for each in MODELS[name])]) + "\n"
