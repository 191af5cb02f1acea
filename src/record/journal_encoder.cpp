// Putting together, coding, summing up.
#include "record/journal_encoder.hpp"

#include <algorithm>
#include <utility>

#include "base/int128.hpp"
#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::uint8_t kToldFlags =
    JournalTouch::kMarked | JournalTouch::kEdited | JournalTouch::kAnswered;
/// More packets than that do not wait: some have been forgotten.
constexpr std::size_t kWaitingMax = std::size_t{1} << 22;

template <typename Record>
Record record_at(std::span<const std::uint64_t> words) {
  Record record;
  std::memcpy(static_cast<void*>(&record), words.data(), sizeof record);
  return record;
}

std::uint64_t fold(std::uint64_t left, std::uint64_t right) noexcept {
  const Uint128 product = Uint128{left} * right;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

std::uint64_t journal_digest(const JournalHit& hit, std::uint64_t rule) noexcept {
  const std::uint64_t what = std::uint64_t{hit.step} | std::uint64_t{hit.copy} << 8 |
                             std::uint64_t{hit.copies} << 16 | std::uint64_t{hit.flags} << 24 |
                             static_cast<std::uint64_t>(hit.reason) << 32 |
                             static_cast<std::uint64_t>(hit.fate) << 40;
  const std::uint64_t after_ns =
      hit.fate == JournalFate::kSent ? hit.release_ns - hit.arrival_ns : 0;
  const std::uint64_t packet = fold(hit.number ^ 0x9E3779B97F4A7C15, rule ^ 0xD6E8FEB86659FD93);
  return fold(packet ^ what, fold(hit.delay_ns ^ 0xA0761D6478BD642F, after_ns ^ packet) | 1);
}

JournalEncoder::Place& JournalEncoder::place_of(std::uint32_t place) {
  const std::size_t number = place == kNoFlowPlace ? 0 : place + std::size_t{1};
  if (number >= places_.size())
    places_.resize(std::max(number + 1, places_.size() * 2));
  return places_[number];
}

void JournalEncoder::encode(std::span<const std::uint64_t> words) {
  const auto next = [&]<typename Record>(void (JournalEncoder::*heard)(const Record&)) {
    (this->*heard)(record_at<Record>(words));
    words = words.subspan(words_of<Record>());
  };
  while (!words.empty()) {
    switch (static_cast<JournalRecord>(words.front() & 0xFFU)) {
      case JournalRecord::kFill:
        return;
      case JournalRecord::kHit:
        next(&JournalEncoder::hit);
        break;
      case JournalRecord::kSame:
        next(&JournalEncoder::same);
        break;
      case JournalRecord::kHead:
        head_ = record_at<JournalHead>(words);
        words = words.subspan(words_of<JournalHead>());
        break;
      case JournalRecord::kFlow:
        next(&JournalEncoder::flow);
        break;
      case JournalRecord::kTouch:
        next(&JournalEncoder::touch);
        break;
      case JournalRecord::kFork:
        next(&JournalEncoder::fork);
        break;
      case JournalRecord::kGone:
        next(&JournalEncoder::gone);
        break;
      case JournalRecord::kAdopted:
        next(&JournalEncoder::adopted);
        break;
      case JournalRecord::kLost:
        lost(record_at<JournalLost>(words).hits);
        words = words.subspan(words_of<JournalLost>());
        break;
    }
  }
}

// --- what the worker says ------------------------------------------------------------------------

void JournalEncoder::adopted(const JournalAdopted& adopted) {
  generation_ = adopted.generation;
  zero_ns_[generation_] = adopted.zero_ns;
}

void JournalEncoder::flow(const JournalFlow& flow) {
  Place& place = place_of(flow.place);
  if (place.hits > 0)
    tell_digest(place, flow.place == kNoFlowPlace ? 0 : flow.place + 1);
  place.key = flow.key;
  place.connection = flow.connection();
  place.ingress = flow.ingress;
  place.egress = flow.egress;
  ++place.version;
  place.length_bytes = 0;
  place.number = 0;
  place.told = false;
}

void JournalEncoder::lost(std::uint64_t hits) {
  bytes_.byte(static_cast<std::uint8_t>(JournalCode::kLost));
  bytes_.number(hits);
}

JournalHit JournalEncoder::hit_of(const JournalHitRecord& record) const {
  JournalHit hit;
  hit.arrival_ns = head_.arrival_ns;
  hit.number = record.number;
  hit.generation = generation_;
  hit.delay_ns = record.delay_ns;
  hit.hash = record.hash;
  hit.place = record.place;
  hit.sequence = head_.sequence + record.behind;
  hit.slot = record.slot;
  hit.length_bytes = record.length_bytes;
  hit.step = record.step;
  hit.ingress = head_.ingress;
  hit.egress = head_.egress;
  hit.reason = record.reason;
  return hit;
}

void JournalEncoder::same(const JournalSame& same) {
  JournalHitRecord record = hit_before_;
  record.behind = same.behind;
  record.length_bytes = same.length_bytes;
  record.hash = same.hash;
  record.place = same.place;
  record.number = same.number;
  hit(record);
}

void JournalEncoder::hit(const JournalHitRecord& record) {
  hit_before_ = record;
  JournalHit hit = hit_of(record);
  hit.release_ns = hit.arrival_ns + hit.delay_ns;
  hit.fate = hit.reason == DropReason::kNone ? JournalFate::kSent : JournalFate::kDropped;
  write(hit, place_of(hit.place));
}

void JournalEncoder::touch(const JournalTouch& touch) {
  JournalHit hit = hit_of(touch.hit);
  hit.release_ns = touch.release_ns;
  hit.fate = touch.fate;
  hit.copy = touch.copy;
  hit.copies = touch.copies;
  hit.flags = touch.flags & kToldFlags;
  if ((touch.flags & JournalTouch::kIdentity) != 0) {
    const auto of = waiting_.find(Who{hit.sequence, touch.from_egress, touch.from}.number());
    Waiting made = of != waiting_.end() ? of->second : Waiting{};
    made.hits = {hit};
    leave(made, hit.fate, hit.release_ns);
    return;
  }
  if (touch.fate == JournalFate::kAside || (touch.flags & JournalTouch::kWaited) != 0)
    wait(touch, hit);
  else
    write(hit, place_of(hit.place));
}

/// More of a packet that waits, or that has waited until now.
void JournalEncoder::wait(const JournalTouch& touch, JournalHit hit) {
  const std::uint64_t who = Who{hit.sequence, hit.egress, hit.copy}.number();
  if (waiting_.size() >= kWaitingMax) {
    lost_ += unfinished();
    lost(unfinished());
    waiting_.clear();
  }
  const auto [entry, is_new] = waiting_.try_emplace(who);
  Waiting& waiting = entry->second;
  const bool other = waiting.identity.arrival_ns != hit.arrival_ns;  // forgotten when it went
  if (is_new || (other && (touch.flags & JournalTouch::kWaited) == 0)) {
    const bool known = (touch.flags & JournalTouch::kWaited) == 0;
    const Place& place = place_of(hit.place);
    waiting = known ? Waiting{place.key, place.connection, hit.place, place.version, true, hit, {}}
                    : Waiting{};
    waiting.identity.arrival_ns = hit.arrival_ns;
  }
  if (hit.slot != kNoSlot) {
    if ((touch.flags & JournalTouch::kReplaces) != 0)
      std::erase_if(waiting.hits, [&](const JournalHit& before) {
        return before.slot == hit.slot && before.step == hit.step;
      });
    if (hit.delay_ns != 0 || hit.reason != DropReason::kNone || hit.flags != 0 || hit.copies > 0)
      waiting.hits.push_back(hit);
  }
  if (touch.fate != JournalFate::kAside)
    leave(who, touch.fate, touch.release_ns);
}

/// Its way is known.
void JournalEncoder::leave(std::uint64_t who, JournalFate fate, std::uint64_t release_ns) {
  auto node = waiting_.extract(who);
  leave(node.mapped(), fate, release_ns);
}

void JournalEncoder::leave(Waiting& waiting, JournalFate fate, std::uint64_t release_ns) {
  if (!waiting.known) {
    // It came in before the journal began, or what told of it was lost.
    if (!waiting.hits.empty())
      lost(waiting.hits.size());
    lost_ += waiting.hits.size();
    return;
  }
  Place* place = &place_of(waiting.place);
  const bool moved = waiting.place == kNoFlowPlace || place->version != waiting.version;
  if (moved && !waiting.hits.empty()) {
    // Another flow has its place by now.
    place = &place_of(kNoFlowPlace);
    tell_digest(*place, 0);
    place->key = waiting.key;
    place->connection = waiting.connection;
    place->told = false;
    ++place->version;
  }
  for (JournalHit& hit : waiting.hits) {
    const JournalHit& identity = waiting.identity;
    hit.place = moved ? kNoFlowPlace : waiting.place;
    hit.number = hit.number == 0 ? 0 : identity.number;
    hit.hash = identity.hash;
    hit.length_bytes = identity.length_bytes;
    hit.generation = identity.generation;
    hit.fate = fate;
    hit.release_ns = release_ns;
    write(hit, *place);
  }
}

void JournalEncoder::fork(const JournalFork& fork) {
  const std::uint32_t sequence = head_.sequence + fork.behind;
  const auto of = waiting_.find(Who{sequence, head_.egress, fork.of}.number());
  if (of == waiting_.end())
    return;
  Waiting copy = of->second;
  copy.identity.copy = fork.copy;
  for (JournalHit& hit : copy.hits) hit.copy = fork.copy;
  waiting_[Who{sequence, head_.egress, fork.copy}.number()] = std::move(copy);
}

void JournalEncoder::gone(const JournalGone& gone) {
  const std::uint64_t who = Who{gone.sequence, gone.egress, gone.copy}.number();
  if (const auto found = waiting_.find(who);
      found != waiting_.end() && found->second.identity.arrival_ns == gone.arrival_ns) {
    leave(who, JournalFate::kDropped, 0);
    return;
  }
  bytes_.byte(static_cast<std::uint8_t>(JournalCode::kGone));
  bytes_.byte(gone.egress);
  bytes_.byte(gone.copy);
  bytes_.byte(static_cast<std::uint8_t>(gone.reason));
  bytes_.plain(gone.sequence);
  bytes_.plain(gone.arrival_ns);
}

std::uint64_t JournalEncoder::unfinished() const {
  std::uint64_t hits = 0;
  for (const auto& [who, waiting] : waiting_) hits += waiting.hits.size();
  return hits;
}

// --- what stands in the file ---------------------------------------------------------------------

void JournalEncoder::tell_flow(Place& place, std::uint32_t number) {
  bytes_.byte(static_cast<std::uint8_t>(JournalCode::kFlow));
  bytes_.number(number);
  bytes_.byte(place.ingress);
  bytes_.byte(place.egress);
  bytes_.plain(place.key);
  if (const FlowConnection& connection = place.connection; connection.known()) {
    bytes_.byte(static_cast<std::uint8_t>(JournalCode::kConnection));
    bytes_.number(number);
    bytes_.byte(static_cast<std::uint8_t>(connection.role));
    bytes_.number(connection.ordinal);
    bytes_.step(0, connection.before);
  }
  place.told = true;
  place.number = 0;
  place.length_bytes = 0;
}

void JournalEncoder::write(JournalHit hit, Place& place) {
  const auto number = static_cast<std::uint32_t>(&place - places_.data());
  sum_up(hit, place);
  if (!place.told)
    tell_flow(place, number);
  if (hit.generation != last_.generation) {
    bytes_.byte(static_cast<std::uint8_t>(JournalCode::kGeneration));
    bytes_.number(hit.generation);
  }
  if (hit.ingress != last_.ingress || hit.egress != last_.egress) {
    bytes_.byte(static_cast<std::uint8_t>(JournalCode::kPath));
    bytes_.byte(hit.ingress);
    bytes_.byte(hit.egress);
  }
  const bool delayed = hit.fate == JournalFate::kSent && hit.reason == DropReason::kNone &&
                       hit.release_ns == hit.arrival_ns + hit.delay_ns;
  const bool dropped =
      hit.fate == JournalFate::kDropped && hit.reason != DropReason::kNone && hit.delay_ns == 0;
  const bool plain = hit.flags == 0 && hit.copy == 0 && hit.copies == 0 && (delayed || dropped);
  std::uint8_t code = static_cast<std::uint8_t>(JournalCode::kHit);
  code |= hit.slot == last_.slot && hit.step == last_.step ? HitCode::kSameStep : 0;
  code |= (plain && dropped) || hit.delay_ns == last_.delay_ns ? HitCode::kSameDelay : 0;
  code |= hit.length_bytes == place.length_bytes ? HitCode::kSameLength : 0;
  code |= hit.number == place.number + 1 ? HitCode::kNextNumber : 0;
  code |= plain ? HitCode::kPlain : 0;
  code |= hit.arrival_ns == last_.arrival_ns ? HitCode::kSameArrival : 0;
  code |= plain && dropped ? HitCode::kDropped : 0;
  bytes_.byte(code);
  bytes_.number(number);
  write_how(hit, place, code);
  place.length_bytes = hit.length_bytes;
  place.number = hit.number;
  const std::uint64_t delay_ns = last_.delay_ns;
  last_ = hit;
  if (plain && dropped)
    last_.delay_ns = delay_ns;
  ++hits_;
}

/// All that the code does not say.
void JournalEncoder::write_how(const JournalHit& hit, Place& place, std::uint8_t code) {
  bytes_.step(last_.sequence, hit.sequence);
  bytes_.plain(hit.hash);
  if ((code & HitCode::kSameStep) == 0) {
    bytes_.number(hit.slot);
    bytes_.byte(hit.step);
  }
  if ((code & HitCode::kSameDelay) == 0)
    bytes_.step(last_.delay_ns, hit.delay_ns);
  if ((code & HitCode::kSameLength) == 0)
    bytes_.number(hit.length_bytes);
  if ((code & HitCode::kNextNumber) == 0)
    bytes_.step(place.number, hit.number);
  if ((code & HitCode::kSameArrival) == 0)
    bytes_.step(last_.arrival_ns, hit.arrival_ns);
  if ((code & HitCode::kDropped) != 0 || (code & HitCode::kPlain) == 0)
    bytes_.byte(static_cast<std::uint8_t>(hit.reason));
  if ((code & HitCode::kPlain) != 0)
    return;
  bytes_.byte(hit.flags);
  bytes_.byte(hit.copy);
  bytes_.byte(hit.copies);
  bytes_.byte(static_cast<std::uint8_t>(hit.fate));
  bytes_.step(hit.arrival_ns, hit.release_ns);
}

// --- digests -------------------------------------------------------------------------------------

void JournalEncoder::sum_up(const JournalHit& hit, Place& place) {
  if (hit.generation != second_generation_ || hit.arrival_ns < second_begin_ns_ ||
      hit.arrival_ns >= second_end_ns_) {
    const std::uint64_t zero_ns = zero_ns_[hit.generation];
    const std::uint64_t since_ns = hit.arrival_ns - std::min(hit.arrival_ns, zero_ns);
    const std::uint64_t second = since_ns / kNsPerSecond;
    if (second != second_)
      tell_digests();
    second_ = second;
    second_begin_ns_ = hit.arrival_ns - since_ns % kNsPerSecond;
    second_end_ns_ = second_begin_ns_ + kNsPerSecond;
    second_generation_ = hit.generation;
  }
  if (hit.generation != named_generation_ || !named_) {
    named_ = true;
    names_ = names_of_(hit.generation);
    named_generation_ = hit.generation;
  }
  const std::uint64_t rule =
      names_ != nullptr && hit.slot < names_->rules.size() ? names_->rules[hit.slot].hash : 0;
  if (place.hits == 0) {
    place.second = second_;
    summed_.push_back(static_cast<std::uint32_t>(&place - places_.data()));
  }
  place.digest += journal_digest(hit, rule);
  ++place.hits;
}

void JournalEncoder::tell_digest(Place& place, std::uint32_t number) {
  if (place.hits == 0)
    return;
  bytes_.byte(static_cast<std::uint8_t>(JournalCode::kDigest));
  bytes_.number(number);
  bytes_.number(place.second);
  bytes_.number(place.hits);
  bytes_.plain(place.digest);
  place.hits = 0;
  place.digest = 0;
}

void JournalEncoder::tell_digests() {
  for (const std::uint32_t number : summed_) tell_digest(places_[number], number);
  summed_.clear();
}

void JournalEncoder::end() {
  tell_digests();
}

}  // namespace faultline
