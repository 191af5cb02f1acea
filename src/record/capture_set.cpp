// Records read, packets put together, frames sorted and written.
#include "record/capture_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <tuple>
#include <utility>

namespace faultline {
namespace {

/// What workers hand over later than this is not put into the order of time.
constexpr std::uint64_t kWindowNs = 50'000'000;
constexpr std::uint64_t kWaitingBytesMax = std::uint64_t{64} << 20;
constexpr std::uint64_t kFlushEveryNs = 500'000'000;
/// Packets that a worker may have under way; what is known of more is not kept.
constexpr std::size_t kPacketsMax = std::size_t{1} << 22;
/// Things done to one packet that its comment tells of.
constexpr std::size_t kTouchesMax = 64;

template <typename Record>
Record record_at(const std::uint64_t* words) {
  Record record;
  std::memcpy(static_cast<void*>(&record), words, sizeof record);
  return record;
}

}  // namespace

bool CaptureSet::Later::operator()(const Frame& left, const Frame& right) const {
  const auto order = [](const CaptureFrameRecord& record) {
    // As packets leave: of one, its copies in turn, and where a switch floods it port by port.
    return std::tuple(record.time_ns, record.arrival_ns, record.ingress, record.name >> 16,
                      record.name & 0xFF, record.egress);
  };
  return order(left.record) > order(right.record);
}

Result<std::unique_ptr<CaptureSet>> CaptureSet::create(Settings settings) {
  std::error_code error;
  std::filesystem::create_directories(settings.folder, error);
  if (error)
    return tl::unexpected(
        Problems{problem_at({settings.folder, 0, 0}, "cannot be made: " + error.message())});
  return std::unique_ptr<CaptureSet>(new CaptureSet(std::move(settings)));
}

CaptureSet::CaptureSet(Settings settings) : settings_(std::move(settings)) {
  for (std::size_t worker = 0; worker < settings_.workers; ++worker)
    ends_.push_back(std::make_unique<WorkerEnd>(settings_.ring_words, settings_.captures));
  for (const CaptureSpec& spec : settings_.captures)
    for (std::size_t point = 0; point < kCapturePointNames.size(); ++point)
      files_.push_back(
          !spec.points[point]
              ? nullptr
              : std::make_unique<CaptureRing>(CaptureRingSettings{
                    fmt::format("{}/{}-{}", settings_.folder, spec.name, kCapturePointNames[point]),
                    settings_.port_names, spec.file_bytes(), spec.files}));
}

CaptureSet::~CaptureSet() {
  end();
}

void CaptureSet::add_names(std::uint64_t generation, const JournalNames& names) {
  const std::lock_guard lock(mutex_);
  const auto after = names_.lower_bound(generation);
  const auto before = after == names_.begin() ? nullptr : std::prev(after)->second;
  names_[generation] =
      before != nullptr && *before == names ? before : std::make_shared<JournalNames>(names);
}

const JournalNames* CaptureSet::names_of(std::uint64_t generation) const {
  const auto found = names_.find(generation);
  return found != names_.end() ? found->second.get() : nullptr;
}

// --- records -------------------------------------------------------------------------------------

void CaptureSet::read(WorkerEnd& end, std::span<const std::uint64_t> words) {
  const std::uint64_t* at = words.data();
  const std::uint64_t* last = at + words.size();
  while (at < last) {
    switch (static_cast<CaptureRecord>(*at & 0xFF)) {
      case CaptureRecord::kFill:
        return;
      case CaptureRecord::kPacket: {
        const auto record = record_at<CapturePacketRecord>(at);
        if (end.packets.size() < kPacketsMax) {
          Packet& packet = end.packets[record.name];
          packet.captures |= record.captures;
          packet.number = record.number;
        }
        at += words_of<CapturePacketRecord>();
        break;
      }
      case CaptureRecord::kTouch: {
        const auto record = record_at<CaptureTouchRecord>(at);
        if (const auto found = end.packets.find(record.name); found != end.packets.end())
          touch(found->second, record);
        at += words_of<CaptureTouchRecord>();
        break;
      }
      case CaptureRecord::kFork: {
        const auto record = record_at<CaptureForkRecord>(at);
        if (const auto found = end.packets.find(record.of); found != end.packets.end()) {
          Packet copy = found->second;
          if (record.without_past)
            copy = {copy.captures, 0, {}};
          end.packets[record.copy] = std::move(copy);
        }
        at += words_of<CaptureForkRecord>();
        break;
      }
      case CaptureRecord::kFrame: {
        const auto record = record_at<CaptureFrameRecord>(at);
        at += words_of<CaptureFrameRecord>();
        frame(end, record, at);
        at += (record.captured_bytes + 7) / 8;
        break;
      }
    }
  }
}

/// What is said of the same step again adds to it, or stands instead of it.
void CaptureSet::touch(Packet& packet, const CaptureTouchRecord& record) const {
  const auto known = std::ranges::find_if(packet.touches, [&](const CaptureTouchRecord& before) {
    return before.slot == record.slot && before.step == record.step;
  });
  if (known == packet.touches.end()) {
    if (packet.touches.size() < kTouchesMax)
      packet.touches.push_back(record);
    return;
  }
  if ((record.flags & CaptureTouchRecord::kReplaces) != 0) {
    const CaptureTouchRecord before = std::exchange(*known, record);
    if ((record.flags & CaptureTouchRecord::kDrawn) == 0) {
      known->draw = before.draw;
      known->flags |= before.flags & CaptureTouchRecord::kDrawn;
    }
    return;
  }
  known->flags |= record.flags;
  known->copies = static_cast<std::uint8_t>(known->copies + record.copies);
  known->delay_ns += record.delay_ns;
  if (record.reason != DropReason::kNone)
    known->reason = record.reason;
}

void CaptureSet::frame(WorkerEnd& end, const CaptureFrameRecord& record,
                       const std::uint64_t* bytes) {
  const auto found = end.packets.find(record.name);
  if (found == end.packets.end())
    return;
  Packet& packet = found->second;
  Frame made;
  made.record = record;
  const std::size_t point = record.point;
  for (std::size_t index = 0; index < settings_.captures.size(); ++index)
    if ((packet.captures >> index & 1) != 0 && settings_.captures[index].points[point])
      made.captures |= static_cast<std::uint16_t>(1U << index);
  if (made.captures != 0) {
    made.comment = comment_of(packet, record);
    made.bytes.assign(reinterpret_cast<const char*>(bytes), record.captured_bytes);
    waiting_bytes_ += sizeof made + made.bytes.size() + made.comment.size();
    waiting_.push(std::move(made));
  }
  if (point != static_cast<std::size_t>(CapturePoint::kBefore))
    end.packets.erase(found);
}

/// `packet=17; rule=wan impairment=loss draw=0.017300 drop=loss`
std::string CaptureSet::comment_of(const Packet& packet, const CaptureFrameRecord& record) const {
  std::string parts;
  const std::lock_guard lock(mutex_);
  for (const CaptureTouchRecord& touch : packet.touches) {
    const bool before = record.point == static_cast<std::uint8_t>(CapturePoint::kBefore);
    const int done = touch.flags & ~(CaptureTouchRecord::kDrawn | CaptureTouchRecord::kReplaces);
    if (before || (touch.delay_ns == 0 && touch.reason == DropReason::kNone && touch.copies == 0 &&
                   done == 0))
      continue;
    const JournalNames* names = names_of(touch.generation);
    if (names == nullptr || touch.slot >= names->rules.size())
      continue;
    const JournalNames::Rule& rule = names->rules[touch.slot];
    CommentPart part;
    part.rule = rule.name;
    part.impairment = touch.step < rule.kinds.size() ? rule.kinds[touch.step] : std::string_view();
    if ((touch.flags & CaptureTouchRecord::kDrawn) != 0)
      part.draw = touch.draw;
    part.delay_ns = touch.delay_ns;
    part.marked = (touch.flags & CaptureTouchRecord::kMarked) != 0;
    part.copies = touch.copies;
    part.edited = (touch.flags & CaptureTouchRecord::kEdited) != 0;
    if ((touch.flags & (CaptureTouchRecord::kAnswered | CaptureTouchRecord::kMade)) != 0)
      part.frame = (touch.flags & CaptureTouchRecord::kMade) != 0 ? "injected" : "answered";
    part.reason = touch.reason;
    append_comment(parts, part);
  }
  if (parts.empty() && record.reason != DropReason::kNone)
    parts = fmt::format("drop={}", drop_reason_name(record.reason));
  if (packet.number == 0)
    return parts;
  return fmt::format("packet={}{}{}", packet.number, parts.empty() ? "" : "; ", parts);
}

// --- files ---------------------------------------------------------------------------------------

void CaptureSet::write(const Frame& frame) {
  const CaptureFrameRecord& record = frame.record;
  for (std::size_t index = 0; index < settings_.captures.size(); ++index) {
    if ((frame.captures >> index & 1) == 0)
      continue;
    CaptureRing& ring = files(index, record.point);
    if (record.content != CaptureFrameRecord::Content::kWhole) {
      ring.lose();
      continue;
    }
    CapturedPacket packet;
    packet.time_ns = record.time_ns + settings_.unix_offset_ns;
    packet.interface = record.point == static_cast<std::uint8_t>(CapturePoint::kAfter)
                           ? record.egress
                           : record.ingress;
    packet.original_length_bytes = record.wire_bytes;
    packet.bytes = std::as_bytes(std::span(frame.bytes));
    packet.bytes = packet.bytes.first(
        std::min<std::size_t>(packet.bytes.size(), settings_.captures[index].snap_bytes));
    ring.write(packet, frame.comment, now_ns_);
  }
}

void CaptureSet::write_until(std::uint64_t horizon_ns) {
  if (waiting_.empty())
    return;
  const std::lock_guard lock(mutex_);
  while (!waiting_.empty() &&
         (waiting_.top().record.time_ns < horizon_ns || waiting_bytes_ > kWaitingBytesMax)) {
    const Frame& next = waiting_.top();
    waiting_bytes_ -= sizeof next + next.bytes.size() + next.comment.size();
    write(next);
    waiting_.pop();
  }
}

/// Whether the rings held anything.
bool CaptureSet::take_all() {
  bool found = false;
  for (const auto& end : ends_)
    for (auto words = end->ring.take(); !words.empty(); words = end->ring.take()) {
      found = true;
      constexpr std::size_t kAtOnce = std::size_t{1} << 16;
      read(*end, words);
      if (words.size() < kAtOnce)
        break;
    }
  return found;
}

/// `now_ns` was read before the rings are: what is in none of them comes later.
bool CaptureSet::turn(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  const bool found = take_all();
  write_until(now_ns - std::min(now_ns, kWindowNs));
  if (now_ns >= next_flush_ns_) {
    next_flush_ns_ = now_ns + kFlushEveryNs;
    flush_files();
  }
  return found;
}

void CaptureSet::flush_files() {
  const std::lock_guard lock(mutex_);
  for (const auto& ring : files_)
    if (ring != nullptr)
      ring->flush(now_ns_);
}

void CaptureSet::start(std::function<std::uint64_t()> now_ns) {
  thread_.start("captures", [this, now_ns = std::move(now_ns)] { return turn(now_ns()); });
}

void CaptureSet::end() {
  if (std::exchange(ended_, true))
    return;
  thread_.stop();
  while (take_all()) {
  }
  write_until(UINT64_MAX);
  const std::lock_guard lock(mutex_);
  for (const auto& ring : files_)
    if (ring != nullptr)
      ring->close();
}

std::vector<CaptureStatus> CaptureSet::status() const {
  const std::lock_guard lock(mutex_);
  std::vector<CaptureStatus> all;
  for (std::size_t index = 0; index < settings_.captures.size(); ++index)
    for (std::size_t point = 0; point < kCapturePointNames.size(); ++point)
      if (const auto& ring = files_[index * kCapturePointNames.size() + point]; ring != nullptr)
        all.push_back({settings_.captures[index].name, kCapturePointNames[point], ring->status()});
  return all;
}

nlohmann::ordered_json to_json(const CaptureSet& captures) {
  using Json = nlohmann::ordered_json;
  Json all = Json::array();
  for (const CaptureStatus& each : captures.status())
    all.push_back(
        {{"name", each.name},
         {"point", each.point},
         {"packets", each.ring.packets},
         {"lost", each.ring.lost},
         {"bytes", each.ring.bytes},
         {"files", each.ring.files},
         {"removed", each.ring.removed},
         {"failure", each.ring.failure.empty() ? Json(nullptr) : Json(each.ring.failure)}});
  return all;
}

std::uint64_t CaptureSet::lost() const {
  std::uint64_t lost = 0;
  for (const auto& end : ends_) lost += end->tap.lost();
  return lost;
}

}  // namespace faultline
