// faultline journal: a journal in words or JSON, filtered, followed, summed up, or compared.
#include <sys/stat.h>
#include <time.h>

#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "app/commands.hpp"
#include "base/units.hpp"
#include "record/journal_compare.hpp"

namespace faultline {
namespace {

using Json = nlohmann::ordered_json;

std::string file_in(const std::string& path) {
  struct stat status {};
  const bool folder = stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  return folder ? path + "/journal.bin" : path;
}

/// Which packet a record is about; two are not alike within one journal.
using PacketPlace =
    std::tuple<std::uint8_t, std::uint32_t, std::uint64_t, std::uint8_t, std::uint8_t>;

/// What was decided to be sent and was not, which the journal tells behind that.
class Gone final : public JournalVisitor {
 public:
  void hit(std::uint8_t, const JournalLine&) override {}
  void gone(std::uint8_t worker, const JournalGone& gone) override {
    packets.emplace(worker, gone.sequence, gone.arrival_ns, gone.egress, gone.copy);
  }
  std::set<PacketPlace> packets;
};

class Printer final : public JournalVisitor {
 public:
  Printer(const JournalOptions& options, const std::set<PacketPlace>& gone)
      : options_(options), gone_(gone) {}

  void hit(std::uint8_t worker, const JournalLine& line) override {
    if (!is_wanted(line))
      return;
    JournalHit hit = line.hit;
    if (!gone_.empty() &&
        gone_.contains({worker, hit.sequence, hit.arrival_ns, hit.egress, hit.copy}))
      hit.fate = JournalFate::kDropped;
    const JournalLine told{hit,     line.flow, line.connection, line.port,
                           line.to, line.rule, line.impairment};
    if (options_.form == OutputForm::kJson)
      fmt::print("{}\n", to_json(told).dump());
    else
      print(told);
  }
  void lost(std::uint64_t hits) override { fmt::print(stderr, "here {} hits are missing\n", hits); }

 private:
  bool is_wanted(const JournalLine& line) const {
    return (options_.rule.empty() || line.rule == options_.rule) &&
           (options_.action.empty() || journal_action(line.hit) == options_.action) &&
           (options_.port.empty() || line.port == options_.port || line.to == options_.port) &&
           (options_.flow.empty() || to_text(line.flow).find(options_.flow) != std::string::npos);
  }

  static void print(const JournalLine& line) {
    const JournalHit& hit = line.hit;
    std::string what(journal_action(hit));
    if (hit.reason != DropReason::kNone)
      what += fmt::format(" ({})", drop_reason_name(hit.reason));
    else if (hit.delay_ns != 0 && static_cast<std::int64_t>(hit.delay_ns) > 0)
      what += " " + format_duration(hit.delay_ns);
    if (hit.copy != 0)
      what += fmt::format(", copy {}", hit.copy);
    if (hit.fate == JournalFate::kDropped && hit.reason == DropReason::kNone)
      what += ", did not leave";
    const std::string connection =
        line.connection.known() ? fmt::format(" (connection {})", line.connection.ordinal) : "";
    fmt::print("{}.{:09} {} > {}  {}{} #{}  {}/{}: {}\n", hit.arrival_ns / kNsPerSecond,
               hit.arrival_ns % kNsPerSecond, line.port, line.to, to_text(line.flow), connection,
               hit.number, line.rule, line.impairment, what);
  }

  const JournalOptions& options_;
  const std::set<PacketPlace>& gone_;
};

class DigestSums final : public JournalVisitor {
 public:
  explicit DigestSums(const JournalOptions& options) : options_(options) {}

  void hit(std::uint8_t, const JournalLine&) override {}
  void digest(const JournalDigest& digest, const FlowKey& flow,
              const JournalNames& names) override {
    const auto name = [&](std::uint8_t port) {
      return port < names.ports.size() ? names.ports[port] : std::string("?");
    };
    const std::string port = name(digest.ingress);
    const std::string text = to_text(flow);
    if ((!options_.port.empty() && port != options_.port) ||
        (!options_.flow.empty() && text.find(options_.flow) == std::string::npos))
      return;
    JournalDigest& sum = sums_[{digest.second, port, text}];
    sum.hits += digest.hits;
    sum.digest += digest.digest;
  }

  void print() const {
    for (const auto& [name, sum] : sums_) {
      const auto& [second, port, flow] = name;
      const std::string digest = fmt::format("{:016x}", sum.digest);
      if (options_.form == OutputForm::kJson)
        fmt::print("{}\n", Json({{"second", second},
                                 {"port", port},
                                 {"flow", flow},
                                 {"hits", sum.hits},
                                 {"digest", digest}})
                               .dump());
      else
        fmt::print("{:>6} s  {}  {} hits  {}  {}\n", second, digest, sum.hits, port, flow);
    }
  }

 private:
  const JournalOptions& options_;
  std::map<std::tuple<std::uint64_t, std::string, std::string>, JournalDigest> sums_;
};

/// How the reading ended, in words where that is worth any.
Exit tell_end(const std::string& path, const JournalReader& reader, JournalEnd end) {
  if (reader.lost() > 0)
    fmt::print(stderr, "faultline: {} hits are not in it: the journal could not keep up\n",
               reader.lost());
  if (reader.unfinished() > 0)
    fmt::print(stderr, "faultline: {} hits are not in it: their packets had not left\n",
               reader.unfinished());
  switch (end) {
    case JournalEnd::kClosed:
      return Exit::kDone;
    case JournalEnd::kCut:
      fmt::print(stderr, "faultline: {} was not closed: it ends with {} hits at byte {}\n", path,
                 reader.hits(), reader.offset_bytes());
      return Exit::kDone;
    case JournalEnd::kDamaged:
      fmt::print(stderr, "{}: error: is damaged from byte {} on, behind {} hits\n", path,
                 reader.offset_bytes(), reader.hits());
      return Exit::kUnusable;
  }
  return Exit::kDone;
}

Exit follow(const std::string& path, JournalReader& reader, Printer& printer) {
  constexpr timespec kPause{0, 100'000'000};
  JournalEnd end = reader.read(printer);
  while (end == JournalEnd::kCut) {
    std::fflush(stdout);
    nanosleep(&kPause, nullptr);
    end = reader.read(printer);
  }
  return tell_end(path, reader, end);
}

void print_summary(const JournalComparison& result) {
  fmt::print(stderr,
             "{} flows alike, {} not: {} packets met something else, {} the same at other times, "
             "{} were other packets, {} and {} are in one journal only\n",
             result.flows_same, result.flows_different, result.fates, result.delays, result.packets,
             result.first_only, result.second_only);
  if (result.connections_same + result.connections_different > 0)
    fmt::print(stderr,
               "found by connection, whatever the client's port: {} flows alike, hit {} times, and "
               "{} that differ\n",
               result.connections_same, result.connection_hits, result.connections_different);
}

Exit compare(const JournalOptions& options, const std::string& first) {
  const Result<JournalComparison> result =
      compare_journals(first, file_in(options.against), {.same_dice = options.same_dice});
  if (!result) {
    tell(result.error(), options.form);
    return Exit::kUnusable;
  }
  Json differences = Json::array();
  for (const JournalDifference& each : result->differences) {
    if (options.form == OutputForm::kJson)
      differences.push_back({{"kind", difference_name(each.kind)},
                             {"port", each.port},
                             {"to", each.to},
                             {"flow", each.flow},
                             {"packet_in_flow", each.number},
                             {"copy", each.copy},
                             {"first", each.first},
                             {"second", each.second}});
    else
      fmt::print("{:<11}  {} > {}  {} #{}: {} | {}\n", difference_name(each.kind), each.port,
                 each.to, each.flow, each.number, each.first.empty() ? "-" : each.first,
                 each.second.empty() ? "-" : each.second);
  }
  if (options.form == OutputForm::kJson)
    fmt::print(
        "{}\n",
        Json({{"same", result->same()},
              {"flows", {{"same", result->flows_same}, {"different", result->flows_different}}},
              {"connections",
               {{"same", result->connections_same},
                {"different", result->connections_different},
                {"hits", result->connection_hits}}},
              {"fates", result->fates},
              {"delays", result->delays},
              {"packets", result->packets},
              {"first_only", result->first_only},
              {"second_only", result->second_only},
              {"lost", {result->first_lost, result->second_lost}},
              {"differences", differences}})
            .dump());
  else
    print_summary(*result);
  if (result->first_lost + result->second_lost > 0)
    fmt::print(stderr, "faultline: {} and {} hits are missing in the journals\n",
               result->first_lost, result->second_lost);
  return result->same() ? Exit::kDone : Exit::kWrong;
}

}  // namespace

Exit run_journal(const JournalOptions& options) {
  const std::string path = file_in(options.path);
  if (!options.against.empty())
    return compare(options, path);
  Result<JournalReader> reader = JournalReader::open(path);
  if (!reader) {
    tell(reader.error(), options.form);
    return Exit::kUnusable;
  }
  Gone gone;
  if (options.digest) {
    DigestSums sums(options);
    const JournalEnd end = reader->read(sums);
    sums.print();
    return tell_end(path, *reader, end);
  }
  Printer printer(options, gone.packets);
  if (options.follow)
    return follow(path, *reader, printer);
  // What is told late is read first.
  if (Result<JournalReader> before = JournalReader::open(path); before)
    before->read(gone);
  return tell_end(path, *reader, reader->read(printer));
}

}  // namespace faultline
