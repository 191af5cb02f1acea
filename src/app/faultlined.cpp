// faultlined: the daemon's command line.
#include <CLI/CLI.hpp>

#include <cstdlib>

#include "app/daemon.hpp"
#include "control/version.hpp"

namespace faultline {
namespace {

int run(int count, char** words) {
  CLI::App app("faultlined: the data path and its socket. It starts in pass-through.");
  app.set_version_flag("--version", kVersion);
  DaemonSettings settings;
  const char* from_environment = std::getenv("FAULTLINE_SOCKET");
  settings.socket =
      from_environment != nullptr ? from_environment : "/run/faultline/faultline.sock";
  std::string on_exit = "flush";
  app.add_option("--scenario", settings.scenario, "ports, wires and rules")->required();
  app.add_flag("--start", settings.start, "enable what the scenario enables at once");
  app.add_option("--socket", settings.socket, "where to listen (or FAULTLINE_SOCKET)");
  app.add_option("--on-exit", on_exit, "what becomes of packets that wait: flush or drop")
      ->check(CLI::IsMember({"flush", "drop"}));
  app.add_flag("--no-huge", settings.no_huge, "do without huge pages even where there are some");
  app.add_option("--group", settings.group, "whose members may change things, as root may");
  app.add_option("--readers", settings.readers,
                 "the socket's group: whose members may use it at all (else that of --group)");
  CLI::Option* data = app.add_option("--data", settings.data,
                                     "a folder of the daemon's own, for journals and captures");
  app.add_flag("--journal", settings.journal, "write what rules do to journal.bin in that folder")
      ->needs(data);
  app.add_flag("--telemetry", settings.telemetry, "mirror the figures in DPDK telemetry");
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? code(Exit::kDone) : code(Exit::kUsage);
  }
  settings.on_exit = on_exit == "flush" ? HeldAction::kSend : HeldAction::kDrop;
  return code(run_daemon(settings));
}

}  // namespace
}  // namespace faultline

int main(int count, char** words) {
  return faultline::run(count, words);
}
