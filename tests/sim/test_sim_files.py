"""Files that a scenario names: read by who runs the command, beside the scenario."""

import pytest

from program import scenario_of

ROWS = "time_us,delay_us\n0,10000\n200000,60000\n"
NAMED = {
    "trace": ("delay: {trace: laws/d.csv}", "delay: {trace: laws/d.csv, contents: \"%s\"}", ROWS),
    "table": ("delay: {time: 4ms, jitter: 1ms, distribution: table, order: free, file: laws/d.csv}",
              "delay: {time: 4ms, jitter: 1ms, distribution: table, order: free, file: laws/d.csv, "
              "contents: \"%s\"}", "-8192 -4096 0 0 4096 8192\n"),
    "list": ("loss: {model: list, file: laws/d.csv}",
             "loss: {model: list, file: laws/d.csv, contents: \"%s\"}", "3 5\n7-90\n"),
}


@pytest.mark.parametrize("kind", NAMED)
def test_a_file_beside_the_scenario(program, few, tmp_path, kind):
    """The same bytes come out as with the text written in, from any working directory."""
    by_name, written_in, text = NAMED[kind]
    (tmp_path / "laws").mkdir()
    (tmp_path / "laws" / "d.csv").write_text(text)
    (tmp_path / "s.yaml").write_text(scenario_of(("r", [by_name]), seed=1))
    named = program.simulated(tmp_path / "s.yaml", [few.path])
    written = program.simulated(scenario_of(("r", [written_in % text.replace("\n", "\\n")]),
                                            seed=1), [few.path], out="written.pcapng")
    assert named.out.read_bytes() == written.out.read_bytes()
    assert named.stats["rules"] == written.stats["rules"]


def test_files_that_cannot_be_read(program, few, tmp_path):
    """Told by the place of the name, with everything else that is wrong."""
    (tmp_path / "big").write_bytes(b"1 " * 600_000)
    (tmp_path / "s.yaml").write_text(scenario_of(
        ("r", ["delay: {trace: absent.csv}", "loss: {model: list, file: big}", "loss: 2"]), seed=1))
    outcome = program.run("check", tmp_path / "s.yaml")
    assert outcome.status == 1
    told = outcome.stderr.replace(f"{tmp_path}/", "").splitlines()
    allowed = "a file of at most 1 MiB; its name counts from the scenario's folder"
    assert told[:2] == [
        f"s.yaml:7:24: error: 'absent.csv' cannot be read: No such file or directory; {allowed}",
        f"s.yaml:8:35: error: 'big' is too large; {allowed}"]
    assert len(told) == 3 and told[2].startswith("s.yaml:9:15: error: ")
