"""The HTTP interface against its own description, and who may do what."""

import json
import signal
import subprocess
import time

import jsonschema
import pytest

from wire import PORTS, RULES, Wire

pytestmark = pytest.mark.patient

BODIES = {
    ("put", "/v1/policy"): {"version": 1, "rules": [{"name": "slow", "impair": [{"delay": "1ms"}]}]},
    ("put", "/v1/rules/{name}"): {"impair": [{"delay": "1ms"}]},
    ("patch", "/v1/rules/{name}"): {"enabled": False},
    ("post", "/v1/heal"): {"held": "keep"},
    ("put", "/v1/partition"): {"shape": "halves", "ttl": "1m"},
    ("put", "/v1/leases/{id}"): {"ttl": "1s"},
    ("post", "/v1/runs"): {"version": 1, "rules": [
        {"name": "slow", "impair": [{"delay": "1ms"}]},
        {"name": "partition", "impair": [{"partition": {"shape": "halves"}}]}]},
}


def address_of(pattern, operation=None):
    """A path of its own for the pattern, with what must stand in its query."""
    path = pattern.replace("{name}", "slow").replace("{id}", "lab").replace("{run}", "1")
    needed = [f"{one['name']}={one['example']}" for one in (operation or {}).get("parameters", [])
              if one.get("in") == "query" and one.get("required")]
    return path + ("?" + "&".join(needed) if needed else "")


def operations(document):
    """(method, path pattern, operation) of each, those that take things away last."""
    found = [(method, path, operation) for path, item in document["paths"].items()
             for method, operation in item.items() if method != "parameters"]
    return sorted(found, key=lambda row: row[0] == "delete")


def schema_of(document, response):
    """The schema of an answer's JSON; none for other types."""
    content = response.get("content", {})
    body = content.get("application/json") or content.get("application/problem+json")
    return body and {**body["schema"], "components": document["components"]}


def test_the_description_holds(wire):
    """Each operation that openapi.json describes is there, answers with a status that it names and a
    body of the shape it gives; each path allows the methods described and no others."""
    wire.start(PORTS + RULES + "nodes: {a: {ip: 10.77.0.1}, b: {ip: 10.77.0.2}}\n"
               "timeline: [{when: {call: slow}, rule: lossy, enable: true}]\n", "--start")
    wire.inside("a", "ping", "-c", 5, "-i", "0.02", "10.77.0.2")
    document = wire.get("/openapi.json")[1]
    for method, pattern, operation in operations(document):
        path = address_of(pattern, operation)
        status, body = wire.http(method.upper(), path, BODIES.get((method, pattern)))
        assert str(status) in operation["responses"], (method, path, status, body)
        assert status in (200, 201), (method, path, status, body)
        schema = schema_of(document, operation["responses"][str(status)])
        if schema:
            jsonschema.validate(body, schema)
    for pattern, item in document["paths"].items():
        status, body = wire.http("TRACE", address_of(pattern))
        assert status == 405
        allowed = body["detail"].removeprefix("this resource answers ").split(", ")
        assert {word.lower() for word in allowed} == set(item) - {"parameters"}
        jsonschema.validate(body, {"$ref": "#/components/schemas/Problem",
                                   "components": document["components"]})


def test_rules_are_put_changed_and_removed(wire):
    """PUT makes a rule (201) or replaces it whole (200); PATCH changes keys; DELETE removes."""
    wire.start()
    delay = {"impair": [{"delay": "5ms"}], "from": "left"}
    status, body = wire.http("PUT", "/v1/rules/new", delay)
    assert status == 201 and body["generation"] == 2
    assert [rule["name"] for rule in wire.get("/v1/rules")[1]["rules"]] == ["slow", "lossy", "new"]
    assert wire.get("/v1/rules/new")[1]["expires_ns"] is not None, "an hour, as everywhere"
    assert wire.http("PUT", "/v1/rules/new", {"impair": [{"loss": "1%"}]})[0] == 200
    rule = wire.get("/v1/rules/new")[1]
    assert "from" not in rule and rule["impair"] == [{"loss": "1%"}]
    assert wire.http("PUT", "/v1/rules/new", {"name": "other", **delay})[0] == 422
    assert wire.http("PUT", "/v1/rules/new", {"impair": [{"delay": "5"}]})[0] == 422
    assert wire.http("PUT", "/v1/rules/-bad", delay)[0] == 422
    assert wire.http("DELETE", "/v1/rules/new")[0] == 200
    assert wire.get("/v1/rules/new")[0] == wire.http("DELETE", "/v1/rules/new")[0] == 404


def test_a_refused_policy_takes_nothing(wire):
    """A policy that is refused for its lease after it was compiled leaves counters and places alone:
    a rule of its names, accepted later, begins from nothing and counts what it matches."""
    wire.start()
    refused = {"version": 1, "rules": [{"name": "new", "impair": [{"delay": "1ms"}]},
                                       {"name": "x", "lease": "nobody", "impair": [{"loss": "all"}]}]}
    assert wire.http("PUT", "/v1/policy", refused)[0] == 409
    assert [rule["name"] for rule in wire.get("/v1/rules")[1]["rules"]] == ["slow", "lossy"]
    assert wire.http("PUT", "/v1/policy", {**refused, "rules": refused["rules"][:1]})[0] == 200
    wire.inside("a", "ping", "-c", 5, "-i", "0.02", "10.77.0.2")
    assert wire.settle()["rules"]["new"]["matched"] == 10
    assert wire.http("PUT", "/v1/policy", {"version": 1, "rules": []})[0] == 200
    assert wire.http("PUT", "/v1/policy", refused)[0] == 409
    assert wire.http("PUT", "/v1/policy", {**refused, "rules": refused["rules"][:1]})[0] == 200
    assert wire.stats()["rules"]["new"]["matched"] == 0


def test_the_policy_comes_back_as_it_went(wire):
    """GET /v1/policy, put back, changes nothing but the generation."""
    wire.start()
    policy = wire.get("/v1/policy")[1]
    before = wire.get("/v1/rules")[1]["rules"]
    status, body = wire.http("PUT", "/v1/policy", policy)
    assert status == 200, body
    after = wire.get("/v1/rules")[1]["rules"]
    for rule in before + after:
        del rule["expires_ns"], rule["active"]
    assert before == after
    assert wire.get("/v1/policy")[1] == policy


def test_metrics_are_prometheus_text(wire):
    """Each family has HELP and TYPE, each sample a number; they tell what the statistics tell."""
    wire.start()
    wire.inside("a", "ping", "-c", 5, "-i", "0.02", "10.77.0.2")
    stats = wire.settle()
    text = wire.get("/metrics")[1]
    kinds, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            samples[name] = float(value)
            assert name.split("{")[0] in kinds
    assert all(kind == "counter" for name, kind in kinds.items() if name.endswith("_total"))
    assert samples['faultline_port_rx_packets_total{port="left"}'] == \
        stats["ports"]["left"]["rx_packets"] >= 5
    assert samples['faultline_rule_matched_total{rule="slow"}'] == 0
    assert samples["faultline_ledger_balanced"] == 1
    assert samples['faultline_port_up{port="left"}'] == 1
    assert samples['faultline_info{version="0.1.0",state="pass-through"}'] == 1


IDENTITIES = {
    "root": ["0", "0", []],
    "member": ["12345", "65534", ["60", "100"]],  # games may change, users may connect
    "member by primary group": ["12345", "60", ["100"]],
    "reader": ["12345", "100", []],
    "stranger": ["12345", "65534", []],
}
VERBS = [("GET", "/v1/status", None), ("GET", "/v1/events", None), ("GET", "/metrics", None),
         ("PUT", "/v1/rules/new", {"impair": [{"delay": "1ms"}]}),
         ("PATCH", "/v1/rules/slow", {"enabled": True}), ("DELETE", "/v1/rules/lossy", None),
         ("PUT", "/v1/leases/lab", {"ttl": "1s"}), ("DELETE", "/v1/leases/lab", None),
         ("POST", "/v1/heal", {}), ("PUT", "/v1/policy", {"version": 1, "rules": []})]


def ask_as(wire, identity, method, path, body):
    """The status that this user gets; None when the socket may not be used."""
    user, group, groups = IDENTITIES[identity]
    words = ["setpriv", "--reuid", user, "--regid", group,
             *(["--groups", ",".join(groups)] if groups else ["--clear-groups"]),
             "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", wire.socket,
             "-X", method, f"http://x{path}"]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=20,
                          check=False)
    return int(done.stdout) if done.returncode == 0 else None


@pytest.mark.parametrize("options,changers,readers", [
    (("--group", "games", "--readers", "users"),
     {"root", "member", "member by primary group"}, {"reader"}),
    (("--group", "games"), {"root", "member", "member by primary group"}, set()),
    (("--readers", "users"), {"root"}, {"member", "member by primary group", "reader"}),
    ((), {"root"}, set()),
])
def test_identities_and_verbs(options, changers, readers):
    """Who is root or in the group of --group may do everything, who is only in the socket's group
    may read, nobody else may connect; each refused change is in the log."""
    with Wire() as wire:
        wire.folder.chmod(0o755)
        wire.start(PORTS + RULES, *options)
        for identity in IDENTITIES:
            for method, path, body in VERBS:
                status = ask_as(wire, identity, method, path, body)
                if identity in changers:
                    assert status in (200, 201), (identity, method, path)
                    continue
                may_connect = identity in readers
                expected = None if not may_connect else 200 if method == "GET" else 403
                assert status == expected, (identity, method, path)
            wire.http("PUT", "/v1/policy", (PORTS + RULES), "application/yaml")
        log = wire.log.read_text(encoding="utf-8")
        if readers:
            assert "PATCH /v1/rules/slow by uid 12345" in log and ": 403" in log
        assert "PATCH /v1/rules/slow by uid 0 gid 0" in log


def test_a_group_that_does_not_exist_is_refused(wire):
    """Exit 2, by name."""
    with pytest.raises(RuntimeError, match="there is no group 'nobody-knows'"):
        wire.start(PORTS, "--group", "nobody-knows")
    assert wire.daemon.wait(timeout=5) == 2


def test_mirrored_links(wire):
    """`link: mirror`: one end's link goes down with the other's and comes up with it; without it,
    it stays."""
    def carrier(which):
        return wire.inside(which, "cat", "/sys/class/net/eth0/carrier", check=False).stdout.strip()

    def wait_for_carrier(which, wanted):
        give_up = time.monotonic() + 10
        while carrier(which) != wanted:
            assert time.monotonic() < give_up
            time.sleep(0.02)
    mirrored = PORTS.replace("lab: [left, right]", "lab: {ports: [left, right], link: mirror}")
    for scenario in (mirrored, PORTS):
        wire.start(scenario)
        for _ in range(3):
            wire.inside("a", "ip", "link", "set", "eth0", "down")
            if scenario is PORTS:
                assert carrier("b") == "1"
            else:
                wait_for_carrier("b", "0")
            wire.inside("a", "ip", "link", "set", "eth0", "up")
            wait_for_carrier("b", "1")
        assert wire.stop() == 0
    # Ended while a link was down: it is let up.
    wire.start(mirrored)
    wire.inside("a", "ip", "link", "set", "eth0", "down")
    wait_for_carrier("b", "0")
    assert wire.stop() == 0
    wait_for_carrier("b", "1")
    # Killed while a link was down: the next daemon lets it up.
    wire.inside("a", "ip", "link", "set", "eth0", "up")
    wire.start(mirrored)
    wire.inside("a", "ip", "link", "set", "eth0", "down")
    wait_for_carrier("b", "0")
    wire.stop(signal.SIGKILL)
    wire.inside("a", "ip", "link", "set", "eth0", "up")
    wire.start(mirrored)
    wait_for_carrier("b", "1")
