// Comments, drops and the journal.
#include "sim/capture_sink.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "record/capture_comment.hpp"
#include "record/journal_line.hpp"

namespace faultline {
namespace {

tl::unexpected<Problems> cannot(std::string_view act, const std::string& path) {
  return tl::unexpected(Problems{
      problem_at({path, 0, 0}, fmt::format("cannot be {}: {}", act, std::strerror(errno)))});
}

}  // namespace

Result<std::unique_ptr<CaptureSink>> CaptureSink::create(const CaptureSinkSettings& settings) {
  Result<CaptureWriter> out = CaptureWriter::create(settings.out, settings.port_names);
  if (!out)
    return tl::unexpected(out.error());
  std::unique_ptr<CaptureSink> sink(new CaptureSink(settings, std::move(*out)));
  if (!settings.drops.empty()) {
    Result<CaptureWriter> drops = CaptureWriter::create(settings.drops, settings.port_names);
    if (!drops)
      return tl::unexpected(drops.error());
    sink->drops_ = std::move(*drops);
  }
  if (!settings.journal.empty()) {
    sink->journal_ = std::fopen(settings.journal.c_str(), "we");
    if (sink->journal_ == nullptr)
      return cannot("opened for writing", settings.journal);
  }
  return sink;
}

CaptureSink::CaptureSink(const CaptureSinkSettings& settings, CaptureWriter out)
    : settings_(settings), out_(std::move(out)) {}

CaptureSink::~CaptureSink() {
  if (journal_ != nullptr)
    std::fclose(journal_);
}

void CaptureSink::departed(const Departure& departure, const PacketTrail& trail) {
  if (journal_ != nullptr && !trail.touches.empty())
    write_journal(departure, trail);
  const bool sent = departure.reason == DropReason::kNone;
  if (!sent && !drops_)
    return;
  comment_on(departure, trail);
  CapturedPacket packet;
  packet.time_ns = departure.key.release_ns;
  packet.interface = sent ? departure.key.egress : departure.key.ingress;
  packet.original_length_bytes = departure.original_bytes;
  packet.bytes = departure.bytes;
  (sent ? out_ : *drops_).write(packet, comment_);
}

/// `rule=wan impairment=delay delay=40.123ms; rule=…`: one part a change.
void CaptureSink::comment_on(const Departure& departure, const PacketTrail& trail) {
  comment_.clear();
  if (settings_.annotate == Annotate::kNone)
    return;
  for (const Touch& touch : trail.touches) {
    CommentPart part;
    part.rule = touch.rule->name;
    part.impairment = touch.rule->steps[touch.step].kind;
    part.delay_ns = touch.delay_ns;
    part.marked = touch.marked;
    part.copies = touch.copies;
    part.edited = touch.edited;
    if (touch.answered)
      part.frame = departure.key.copy < kFirstAnswer ? "answered" : "injected";
    part.reason = touch.reason;
    append_comment(comment_, part);
  }
  if (comment_.empty() && departure.reason != DropReason::kNone)
    comment_ = fmt::format("drop={}", drop_reason_name(departure.reason));
  if (comment_.empty() && settings_.annotate == Annotate::kAll)
    comment_ = "untouched";
}

void CaptureSink::write_journal(const Departure& departure, const PacketTrail& trail) {
  const HoldKey& key = departure.key;
  JournalHit hit;
  hit.arrival_ns = key.arrival_ns;
  hit.release_ns = key.release_ns;
  hit.ingress = key.ingress;
  hit.egress = key.egress;
  hit.copy = key.copy;
  hit.number = trail.number;
  hit.generation = trail.policy == nullptr ? 0 : trail.policy->generation;
  hit.hash = trail.hash;
  hit.length_bytes = static_cast<std::uint16_t>(std::min<std::uint32_t>(trail.length_bytes, 65535));
  hit.fate = departure.reason == DropReason::kNone ? JournalFate::kSent : JournalFate::kDropped;
  for (const Touch& touch : trail.touches) {
    hit.reason = touch.reason;
    hit.delay_ns = touch.delay_ns;
    hit.copies = touch.copies;
    hit.flags = static_cast<std::uint8_t>((touch.marked ? JournalTouch::kMarked : 0) |
                                          (touch.edited ? JournalTouch::kEdited : 0) |
                                          (touch.answered ? JournalTouch::kAnswered : 0));
    const JournalLine line{hit,
                           trail.flow,
                           trail.connection,
                           settings_.port_names[key.ingress],
                           settings_.port_names[key.egress],
                           touch.rule->name,
                           touch.rule->steps[touch.step].kind};
    const std::string text = to_json(line).dump() + "\n";
    journal_failed_ |= std::fwrite(text.data(), 1, text.size(), journal_) != text.size();
  }
}

Result<void> CaptureSink::close() {
  Result<void> closed = out_.close();
  if (drops_)
    if (const Result<void> drops = drops_->close(); closed && !drops)
      closed = drops;
  if (journal_ != nullptr) {
    const bool flushed = std::fclose(std::exchange(journal_, nullptr)) == 0;
    if (closed && (journal_failed_ || !flushed))
      return cannot("written", settings_.journal);
  }
  return closed;
}

}  // namespace faultline
