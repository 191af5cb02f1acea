// The words of a comment.
#include "record/capture_comment.hpp"

#include <fmt/format.h>

#include <iterator>

#include "base/units.hpp"

namespace faultline {

void append_comment(std::string& comment, const CommentPart& part) {
  const auto out = std::back_inserter(comment);
  fmt::format_to(out, "{}rule={} impairment={}", comment.empty() ? "" : "; ", part.rule,
                 part.impairment);
  if (part.draw)
    fmt::format_to(out, " draw={:.6f}", *part.draw);
  if (part.delay_ns > 0)
    fmt::format_to(out, " delay={}", format_duration(part.delay_ns));
  if (part.marked)
    fmt::format_to(out, " mark=ce");
  if (part.copies > 0)
    fmt::format_to(out, " copies={}", part.copies);
  if (part.edited)
    fmt::format_to(out, " edited");
  if (!part.frame.empty())
    fmt::format_to(out, " {}", part.frame);
  if (part.reason != DropReason::kNone)
    fmt::format_to(out, " drop={}", drop_reason_name(part.reason));
}

}  // namespace faultline
