// Comments, drops and the journal.
#include "sim/capture_sink.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <iterator>

#include <nlohmann/json.hpp>

#include "base/dice.hpp"
#include "base/units.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {
namespace {

using Json = nlohmann::ordered_json;

tl::unexpected<Problems> cannot(std::string_view act, const std::string& path) {
  return tl::unexpected(Problems{
      problem_at({path, 0, 0}, fmt::format("cannot be {}: {}", act, std::strerror(errno)))});
}

std::string flow_text(const Departure& departure) {
  const std::span<const std::byte> bytes = departure.bytes;
  FlowKey key;
  parse_flow_key({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                 departure.original_bytes, key);
  return to_text(key);
}

std::string_view action_of(const Touch& touch) {
  if (touch.reason != DropReason::kNone)
    return touch.answered ? "answer" : "drop";
  if (touch.answered)
    return "inject";
  if (touch.copies > 0)
    return "copy";
  if (touch.marked)
    return "mark-ce";
  return touch.edited ? "edit" : "delay";
}

std::string_view bytes_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
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
  const auto out = std::back_inserter(comment_);
  for (const Touch& touch : trail.touches) {
    fmt::format_to(out, "{}rule={} impairment={}", comment_.empty() ? "" : "; ", touch.rule->name,
                   touch.rule->steps[touch.step].kind);
    if (touch.delay_ns > 0)
      fmt::format_to(out, " delay={}", format_duration(touch.delay_ns));
    if (touch.marked)
      fmt::format_to(out, " mark=ce");
    if (touch.copies > 0)
      fmt::format_to(out, " copies={}", touch.copies);
    if (touch.edited)
      fmt::format_to(out, " edited");
    if (touch.answered)
      fmt::format_to(out, " {}", departure.key.copy < kFirstAnswer ? "answered" : "injected");
    if (touch.reason != DropReason::kNone)
      fmt::format_to(out, " drop={}", drop_reason_name(touch.reason));
  }
  if (comment_.empty() && departure.reason != DropReason::kNone)
    fmt::format_to(out, "drop={}", drop_reason_name(departure.reason));
  if (comment_.empty() && settings_.annotate == Annotate::kAll)
    comment_ = "untouched";
}

void CaptureSink::write_journal(const Departure& departure, const PacketTrail& trail) {
  const HoldKey& key = departure.key;
  const std::string flow = flow_text(departure);
  const std::string hash = fmt::format("{:016x}", hash_name(bytes_text(departure.bytes)));
  const bool sent = departure.reason == DropReason::kNone;
  for (const Touch& touch : trail.touches) {
    const bool dropped = touch.reason != DropReason::kNone;
    const Json line = {{"t_ns", key.arrival_ns},
                       {"port", settings_.port_names[key.ingress]},
                       {"to", settings_.port_names[key.egress]},
                       {"flow", flow},
                       {"packet_in_flow", trail.number},
                       {"generation", trail.policy == nullptr ? 0 : trail.policy->generation},
                       {"rule", touch.rule->name},
                       {"impairment", touch.rule->steps[touch.step].kind},
                       {"copy", key.copy},
                       {"action", action_of(touch)},
                       {"reason", dropped ? Json(drop_reason_name(touch.reason)) : Json()},
                       {"delay_ns", touch.delay_ns},
                       {"release_ns", sent ? Json(key.release_ns) : Json()},
                       {"edit", touch.marked   ? Json("ecn=ce")
                                : touch.edited ? Json(touch.rule->steps[touch.step].kind)
                                               : Json()},
                       {"length", departure.original_bytes},
                       {"hash", hash}};
    const std::string text = line.dump() + "\n";
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
