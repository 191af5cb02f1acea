"""One scenario for each model, in the smallest form that uses all of it. What they do to a fixed
capture is frozen in digests.json, by tests/sim/test_sim_golden.py, which can also gather new ones."""

MODELS = {
    "bernoulli": ["loss: 3%"],
    "bernoulli-mark": ["loss: {rate: 30%, action: mark-ce}"],
    "gilbert": ["loss: {model: gilbert, p: 2%, r: 30%}"],
    "gilbert-elliott": ["loss: {model: gilbert-elliott, p: 2%, r: 30%, loss_bad: 80%, "
                        "loss_good: 1%}"],
    "gilbert-flips": ["loss: {model: gilbert, p: 60%, r: 70%}"],
    "delay": ["delay: 40123us"],
    "rate": ["rate: {rate: 30Mbit, overhead: 24B, minimum: 84B}"],
    "rate-queue": ["rate: {rate: 30Mbit, cell: 48B, cell_overhead: 5B}", "queue: {limit: 40p}"],
}


def scenario(name, per="rule"):
    """The scenario of one model as text."""
    return "\n".join(["version: 1", "seed: 20260101", "rules:", f"  - name: {name}",
                      f"    per: {per}", "    impair:",
                      *(f"      - {each}" for each in MODELS[name])]) + "\n"
