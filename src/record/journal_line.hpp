// A hit of the journal in words: one line of JSON, the same from whomever it comes.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

#include "packet/flow_key.hpp"
#include "record/journal_format.hpp"

namespace faultline {

struct JournalLine {
  const JournalHit& hit;
  const FlowKey& flow;
  const FlowConnection& connection;
  std::string_view port;
  std::string_view to;
  std::string_view rule;
  std::string_view impairment;
};

/// "drop", "delay", "copy", "edit", "mark-ce", "answer" or "inject".
std::string_view journal_action(const JournalHit& hit);
inline constexpr std::string_view kJournalActions[] = {"drop",    "delay",  "copy",  "edit",
                                                       "mark-ce", "answer", "inject"};
nlohmann::ordered_json to_json(const JournalLine& line);

}  // namespace faultline
