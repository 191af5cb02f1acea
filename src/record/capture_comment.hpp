// What is said of a packet in a capture: `rule=wan impairment=delay delay=40.123ms`, one part for
// each thing that a rule did to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "impair/burst.hpp"

namespace faultline {

/// One impairment's doing to one packet.
struct CommentPart {
  std::string_view rule;
  std::string_view impairment;
  std::optional<double> draw{};  ///< the uniform number that decided, in [0, 1)
  std::uint64_t delay_ns = 0;
  bool marked = false;
  std::uint8_t copies = 0;
  bool edited = false;
  std::string_view frame{};  ///< "answered", "injected" or nothing
  DropReason reason = DropReason::kNone;
};

/// Behind what `comment` says already.
void append_comment(std::string& comment, const CommentPart& part);

}  // namespace faultline
