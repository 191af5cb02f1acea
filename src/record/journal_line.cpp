// Hits as JSON.
#include "record/journal_line.hpp"

#include <fmt/format.h>

#include "dataplane/held_record.hpp"

namespace faultline {

using Json = nlohmann::ordered_json;

std::string_view journal_action(const JournalHit& hit) {
  const bool answers = (hit.flags & JournalTouch::kAnswered) != 0;
  if (hit.reason != DropReason::kNone)
    return answers ? "answer" : "drop";
  if (answers)
    return "inject";
  if (hit.copies > 0)
    return "copy";
  if ((hit.flags & JournalTouch::kMarked) != 0)
    return "mark-ce";
  return (hit.flags & JournalTouch::kEdited) != 0 ? "edit" : "delay";
}

namespace {

/// Without the client's port, which is another in every run.
Json connection_json(const FlowKey& flow, const FlowConnection& connection) {
  const bool reply = connection.role == Role::kReply;
  Json json = {{"client", address_text(flow.kind, reply ? flow.destination : flow.source)},
               {"server", address_text(flow.kind, reply ? flow.source : flow.destination)}};
  if (has_ports(flow.protocol))
    json["port"] = reply ? flow.source_port : flow.destination_port;
  json["ordinal"] = connection.ordinal;
  json["role"] = reply ? "reply" : "request";
  return json;
}

}  // namespace

Json to_json(const JournalLine& line) {
  const JournalHit& hit = line.hit;
  const bool dropped = hit.reason != DropReason::kNone;
  Json edit;
  if ((hit.flags & JournalTouch::kMarked) != 0)
    edit = "ecn=ce";
  else if ((hit.flags & JournalTouch::kEdited) != 0)
    edit = line.impairment;
  const bool sent = hit.fate == JournalFate::kSent;
  Json json = {{"t_ns", hit.arrival_ns},
               {"port", line.port},
               {"to", line.to},
               {"flow", to_text(line.flow)},
               {"packet_in_flow", hit.number},
               {"generation", hit.copy == kOwnFrame ? 0 : hit.generation},
               {"rule", line.rule},
               {"impairment", line.impairment},
               {"copy", hit.copy},
               {"action", journal_action(hit)},
               {"reason", dropped ? Json(drop_reason_name(hit.reason)) : Json()},
               {"delay_ns", static_cast<std::int64_t>(hit.delay_ns)},
               {"release_ns", sent ? Json(hit.release_ns) : Json()},
               {"edit", edit},
               {"length", hit.length_bytes},
               {"hash", fmt::format("{:08x}", hit.hash)}};
  if (line.connection.known())
    json["connection"] = connection_json(line.flow, line.connection);
  return json;
}

}  // namespace faultline
