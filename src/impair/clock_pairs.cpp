// Keeping account of who told whom the time.
#include "impair/clock_pairs.hpp"

#include <algorithm>
#include <cstring>

namespace faultline {
namespace {

bool may_be_about_time(const FlowKey& key) noexcept {
  if (key.kind == FlowKind::kLink)
    return key.ethertype == kEthertypePtp;
  const std::uint16_t to = key.destination_port;
  return key.protocol == kProtocolUdp && (key.source_port == kNtpPort || to == kNtpPort ||
                                          to == kPtpEventPort || to == kPtpGeneralPort);
}

/// An answer is to the question before where it gives back when that was received.
ClockMode mode_of(const NtpPacket& packet, const ToldPair& pair) noexcept {
  if (packet.trailer != NtpTrailer::kOpen)
    return ClockMode::kAuthenticated;
  if (packet.mode == NtpMode::kBroadcast)
    return ClockMode::kBroadcast;
  if (packet.mode != NtpMode::kServer)
    return ClockMode::kSymmetric;
  if (packet.origin == 0)
    return pair.mode;
  if (packet.origin == pair.question_out)
    return ClockMode::kBasic;
  return packet.origin == pair.question_in ? ClockMode::kInterleaved : pair.mode;
}

}  // namespace

std::uint64_t ClockPairs::identity_of(const Ends& ends) noexcept {
  constexpr std::uint64_t kSpread = 0x9E3779B97F4A7C15;
  std::uint64_t sum = static_cast<std::uint64_t>(ends.kind) * 2 + (ends.is_ptp ? 1 : 0);
  for (const auto* address : {&ends.client, &ends.source})
    for (std::size_t half = 0; half < 16; half += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, address->data() + half, sizeof word);
      sum = (sum ^ word) * kSpread;
      sum ^= sum >> 29;
    }
  return sum;
}

ToldPair* ClockPairs::find(const Ends& ends) noexcept {
  const std::uint64_t identity = identity_of(ends);
  for (std::size_t at = 0; at < count_; ++at) {
    ToldPair& pair = pairs_[at];
    if (identities_[at] == identity && pair.client == ends.client && pair.source == ends.source &&
        pair.kind == ends.kind && pair.is_ptp == ends.is_ptp)
      return &pair;
  }
  return nullptr;
}

ToldPair* ClockPairs::find_or_make(const Ends& ends) noexcept {
  if (ToldPair* known = find(ends))
    return known;
  std::size_t place = count_;
  if (count_ < kPairs) {
    ++count_;
  } else {  // whoever was asked and has not answered makes room
    const auto idle = std::find_if(pairs_.begin(), pairs_.end(),
                                   [](const ToldPair& pair) { return pair.told == 0; });
    if (idle == pairs_.end())
      return nullptr;
    place = static_cast<std::size_t>(idle - pairs_.begin());
  }
  identities_[place] = identity_of(ends);
  ToldPair& made = pairs_[place];
  made = {};
  made.client = ends.client;
  made.source = ends.source;
  made.kind = ends.kind;
  made.is_ptp = ends.is_ptp;
  return &made;
}

ToldPair* ClockPairs::of_told(const FlowKey& key, bool is_ptp) noexcept {
  return find(told_ends(key, is_ptp));
}

ToldPair* ClockPairs::of_asked(const FlowKey& key) noexcept {
  return find(asked_ends(key));
}

void ClockPairs::see(std::span<const std::uint8_t> frame, const FrameFields& fields,
                     std::uint64_t now_ns) noexcept {
  if (!may_be_about_time(fields.key))
    return;
  if (const auto packet = read_ntp(frame, fields))
    see_ntp(*packet, fields.key, now_ns);
  else if (const auto message = read_ptp(frame, fields))
    see_ptp(*message, fields.key, now_ns);
}

void ClockPairs::see_ntp(const NtpPacket& packet, const FlowKey& key,
                         std::uint64_t now_ns) noexcept {
  if (packet.mode == NtpMode::kClient) {
    // A question is no telling; who is not answered has a place until it is needed.
    if (ToldPair* pair = find_or_make(asked_ends(key))) {
      pair->question_in = packet.receive;
      pair->question_out = packet.transmit;
      pair->asked_late = false;
    }
    return;
  }
  if (!tells_time(packet.mode))
    return;
  ToldPair* pair = find_or_make(told_ends(key, false));
  if (pair == nullptr) {
    ++uncounted_;
    return;
  }
  pair->mode = mode_of(packet, *pair);
  pair->is_shifted = pair->asked_late;
  pair->seen_ns = now_ns;
  ++pair->told;
}

void ClockPairs::see_ptp(const PtpMessage& message, const FlowKey& key,
                         std::uint64_t now_ns) noexcept {
  if (message.type != PtpType::kSync && !tells_time(message))
    return;
  ToldPair* pair = find_or_make(told_ends(key, true));
  if (pair == nullptr) {
    uncounted_ += tells_time(message) ? 1U : 0U;
    return;
  }
  pair->mode = message.authenticated ? ClockMode::kAuthenticated : ClockMode::kPtp;
  // What a Follow_Up and Delay_Resp say belongs to the Sync before them.
  if (message.type == PtpType::kSync)
    pair->is_shifted = false;
  pair->seen_ns = now_ns;
  pair->told += tells_time(message) ? 1U : 0U;
}

void ClockPairs::forget_rule(std::uint16_t slot) noexcept {
  for (std::size_t at = 0; at < count_; ++at)
    if (pairs_[at].rule_slot == slot)
      pairs_[at].rule_slot = ToldPair::kNoRule;
}

void ClockPairs::copy_from(const ClockPairs& other) noexcept {
  count_ = other.count_;
  uncounted_ = other.uncounted_;
  std::copy_n(other.identities_.begin(), count_, identities_.begin());
  std::copy_n(other.pairs_.begin(), count_, pairs_.begin());
}

void ClockPairs::add(const ClockPairs& other) noexcept {
  uncounted_ += other.uncounted_;
  for (const ToldPair& part : other.pairs()) {
    ToldPair* sum = find_or_make({part.client, part.source, part.kind, part.is_ptp});
    if (sum == nullptr) {
      uncounted_ += part.told;
      continue;
    }
    const ToldPair before = *sum;
    const bool later = part.seen_ns >= before.seen_ns;
    *sum = later ? part : before;
    const ToldPair& other_one = later ? before : part;
    if (sum->mode == ClockMode::kUnknown)
      sum->mode = other_one.mode;
    // The pair's rule is of one worker, who sees one of its directions at least.
    if (sum->rule_slot == ToldPair::kNoRule) {
      sum->rule_slot = other_one.rule_slot;
      sum->role = other_one.role;
    }
    if (sum->rewritten == 0)
      sum->last_ns = other_one.last_ns;
    sum->first_ns = before.rewritten > 0 ? before.first_ns : part.first_ns;
    sum->told = before.told + part.told;
    sum->rewritten = before.rewritten + part.rewritten;
    sum->unrewritable = before.unrewritable + part.unrewritable;
    sum->dropped = before.dropped + part.dropped;
    sum->late = before.late + part.late;
  }
}

}  // namespace faultline
