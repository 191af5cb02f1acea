// Chunks checked and records of workers decoded, each with what the one before left out.
#include "record/journal_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <unordered_map>

namespace faultline {
namespace {

/// A number, once it is one of those that there are.
template <typename Word>
bool is_known(std::uint8_t value, Word last) {
  return value <= static_cast<std::uint8_t>(last);
}

}  // namespace

void JournalVisitor::digest(const JournalDigest&, const FlowKey&, const JournalNames&) {}
void JournalVisitor::gone(std::uint8_t, const JournalGone&) {}
void JournalVisitor::lost(std::uint64_t) {}

class JournalReader::Decoder {
 public:
  explicit Decoder(int descriptor) : descriptor_(descriptor) {}
  ~Decoder() { ::close(descriptor_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  bool begins_well() {
    std::string magic(kJournalMagic.size(), '\0');
    offset_ = magic.size();
    return read_at(0, magic.data(), magic.size()) && magic == kJournalMagic;
  }
  JournalEnd read(JournalVisitor& visitor);

  std::uint64_t offset_ = 0;
  std::uint64_t hits_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t unfinished_ = 0;

 private:
  struct Place {
    FlowKey key;
    FlowConnection connection;
    std::uint8_t ingress = 0;
    std::uint8_t egress = 0;
    std::uint16_t length_bytes = 0;
    std::uint64_t number = 0;
  };
  struct WorkerState {
    JournalHit last;
    std::unordered_map<std::uint64_t, Place> places;
  };

  bool read_at(std::uint64_t offset, char* bytes, std::size_t count) const;
  bool chunk(const JournalChunkHead& head, JournalVisitor& visitor);
  bool records(std::uint8_t worker, JournalCursor cursor, JournalVisitor& visitor);
  void flow(JournalCursor& cursor, WorkerState& state);
  void connection(JournalCursor& cursor, WorkerState& state);
  void digest(JournalCursor& cursor, WorkerState& state, JournalVisitor& visitor);
  void gone(std::uint8_t worker, JournalCursor& cursor, JournalVisitor& visitor);
  void hit(std::uint8_t code, std::uint8_t worker, JournalCursor& cursor, JournalVisitor& visitor);
  void read_how(std::uint8_t code, const Place& place, JournalCursor& cursor, JournalHit& hit,
                std::uint64_t& delay_ns);
  void tell(std::uint8_t worker, const JournalHit& hit, const Place& place,
            JournalVisitor& visitor);
  const JournalNames& names_of(std::uint64_t generation);

  int descriptor_;
  bool closed_ = false;
  std::string bytes_;
  std::array<WorkerState, 256> workers_;
  JournalNamesByGeneration names_;
};

bool JournalReader::Decoder::read_at(std::uint64_t offset, char* bytes, std::size_t count) const {
  while (count > 0) {
    const ssize_t got = ::pread(descriptor_, bytes, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return false;
    bytes += got;
    offset += static_cast<std::uint64_t>(got);
    count -= static_cast<std::size_t>(got);
  }
  return true;
}

JournalEnd JournalReader::Decoder::read(JournalVisitor& visitor) {
  while (!closed_) {
    JournalChunkHead head;
    if (!read_at(offset_, reinterpret_cast<char*>(&head), sizeof head))
      return JournalEnd::kCut;
    const bool known = head.kind == JournalChunk::kNames || head.kind == JournalChunk::kRecords ||
                       head.kind == JournalChunk::kEnd;
    if (!known || head.bytes > kJournalChunkBytesMax)
      return JournalEnd::kDamaged;
    bytes_.resize(head.bytes);
    if (!read_at(offset_ + sizeof head, bytes_.data(), head.bytes))
      return JournalEnd::kCut;
    if (journal_check(bytes_) != head.check || !chunk(head, visitor))
      return JournalEnd::kDamaged;
    offset_ += sizeof head + head.bytes;
  }
  return JournalEnd::kClosed;
}

bool JournalReader::Decoder::chunk(const JournalChunkHead& head, JournalVisitor& visitor) {
  switch (head.kind) {
    case JournalChunk::kNames:
      return read_names(bytes_, names_);
    case JournalChunk::kRecords:
      return records(head.worker, JournalCursor(bytes_), visitor);
    case JournalChunk::kEnd: {
      const nlohmann::json end = nlohmann::json::parse(bytes_, nullptr, false);
      closed_ = end.is_object();
      if (closed_ && end.contains("unfinished") && end["unfinished"].is_number_unsigned())
        unfinished_ = end["unfinished"].get<std::uint64_t>();
      // What was lost last had nobody behind it to tell.
      if (closed_ && end.contains("lost") && end["lost"].is_number_unsigned())
        lost_ = end["lost"].get<std::uint64_t>();
      return closed_;
    }
  }
  return false;
}

bool JournalReader::Decoder::records(std::uint8_t worker, JournalCursor cursor,
                                     JournalVisitor& visitor) {
  WorkerState& state = workers_[worker];
  while (!cursor.at_end()) {
    const std::uint8_t code = cursor.byte();
    if (code >= static_cast<std::uint8_t>(JournalCode::kHit)) {
      hit(code, worker, cursor, visitor);
      continue;
    }
    switch (static_cast<JournalCode>(code)) {
      case JournalCode::kGeneration:
        state.last.generation = cursor.number();
        break;
      case JournalCode::kFlow:
        flow(cursor, state);
        break;
      case JournalCode::kConnection:
        connection(cursor, state);
        break;
      case JournalCode::kDigest:
        digest(cursor, state, visitor);
        break;
      case JournalCode::kGone:
        gone(worker, cursor, visitor);
        break;
      case JournalCode::kLost: {
        const std::uint64_t lost = cursor.number();
        lost_ += lost;
        if (cursor.ok())
          visitor.lost(lost);
        break;
      }
      case JournalCode::kPath:
        state.last.ingress = cursor.byte();
        state.last.egress = cursor.byte();
        break;
      case JournalCode::kHit:
      default:
        cursor.fail();
    }
  }
  return cursor.ok();
}

void JournalReader::Decoder::flow(JournalCursor& cursor, WorkerState& state) {
  const std::uint64_t number = cursor.number();
  Place place;
  place.ingress = cursor.byte();
  place.egress = cursor.byte();
  cursor.plain(place.key);
  if (place.key.kind > FlowKind::kIpv6)
    cursor.fail();
  if (cursor.ok())
    state.places[number] = place;
}

/// Of a flow told before.
void JournalReader::Decoder::connection(JournalCursor& cursor, WorkerState& state) {
  const auto place = state.places.find(cursor.number());
  const std::uint8_t role = cursor.byte();
  FlowConnection connection;
  connection.role = static_cast<Role>(role);
  const std::uint64_t ordinal = cursor.number();
  connection.ordinal = static_cast<std::uint32_t>(ordinal);
  connection.before = cursor.step(0);
  if (place == state.places.end() || !is_known(role, Role::kReply) || ordinal > UINT32_MAX)
    cursor.fail();
  if (cursor.ok())
    place->second.connection = connection;
}

void JournalReader::Decoder::digest(JournalCursor& cursor, WorkerState& state,
                                    JournalVisitor& visitor) {
  const auto place = state.places.find(cursor.number());
  JournalDigest digest;
  digest.second = cursor.number();
  digest.hits = cursor.number();
  cursor.plain(digest.digest);
  if (place == state.places.end())
    cursor.fail();
  if (!cursor.ok())
    return;
  digest.ingress = place->second.ingress;
  digest.egress = place->second.egress;
  digest.connection = place->second.connection;
  visitor.digest(digest, place->second.key, names_of(state.last.generation));
}

void JournalReader::Decoder::gone(std::uint8_t worker, JournalCursor& cursor,
                                  JournalVisitor& visitor) {
  JournalGone gone;
  gone.egress = cursor.byte();
  gone.copy = cursor.byte();
  const std::uint8_t reason = cursor.byte();
  cursor.plain(gone.sequence);
  cursor.plain(gone.arrival_ns);
  if (!is_known(reason, DropReason::kTxError))
    cursor.fail();
  gone.reason = static_cast<DropReason>(reason);
  if (cursor.ok())
    visitor.gone(worker, gone);
}

void JournalReader::Decoder::hit(std::uint8_t code, std::uint8_t worker, JournalCursor& cursor,
                                 JournalVisitor& visitor) {
  WorkerState& state = workers_[worker];
  const std::uint64_t number = cursor.number();
  const auto found = state.places.find(number);
  if (found == state.places.end()) {
    cursor.fail();
    return;
  }
  Place& place = found->second;
  JournalHit hit = state.last;
  std::uint64_t delay_ns = hit.delay_ns;
  read_how(code, place, cursor, hit, delay_ns);
  if (!cursor.ok())
    return;
  hit.place = static_cast<std::uint32_t>(number - 1);
  place.length_bytes = hit.length_bytes;
  place.number = hit.number;
  ++hits_;
  tell(worker, hit, place, visitor);
  state.last = hit;
  state.last.delay_ns = delay_ns;
}

void JournalReader::Decoder::read_how(std::uint8_t code, const Place& place, JournalCursor& cursor,
                                      JournalHit& hit, std::uint64_t& delay_ns) {
  hit.sequence = static_cast<std::uint32_t>(cursor.step(hit.sequence));
  cursor.plain(hit.hash);
  if ((code & HitCode::kSameStep) == 0) {
    hit.slot = static_cast<std::uint16_t>(cursor.number());
    hit.step = cursor.byte();
  }
  if ((code & HitCode::kSameDelay) == 0)
    delay_ns = cursor.step(delay_ns);
  hit.length_bytes = (code & HitCode::kSameLength) != 0
                         ? place.length_bytes
                         : static_cast<std::uint16_t>(cursor.number());
  hit.number = (code & HitCode::kNextNumber) != 0 ? place.number + 1 : cursor.step(place.number);
  if ((code & HitCode::kSameArrival) == 0)
    hit.arrival_ns = cursor.step(hit.arrival_ns);
  const bool dropped = (code & HitCode::kDropped) != 0;
  const bool plain = (code & HitCode::kPlain) != 0;
  const std::uint8_t reason = dropped || !plain ? cursor.byte() : std::uint8_t{0};
  if (!is_known(reason, DropReason::kTxError))
    cursor.fail();
  hit.reason = static_cast<DropReason>(cursor.ok() ? reason : 0);
  hit.delay_ns = dropped ? 0 : delay_ns;
  hit.flags = hit.copy = hit.copies = 0;
  hit.fate = dropped ? JournalFate::kDropped : JournalFate::kSent;
  hit.release_ns = hit.arrival_ns + hit.delay_ns;
  if (plain)
    return;
  hit.flags = cursor.byte();
  hit.copy = cursor.byte();
  hit.copies = cursor.byte();
  const std::uint8_t fate = cursor.byte();
  if (!is_known(fate, JournalFate::kAside))
    cursor.fail();
  hit.fate = static_cast<JournalFate>(cursor.ok() ? fate : 0);
  hit.release_ns = cursor.step(hit.arrival_ns);
}

const JournalNames& JournalReader::Decoder::names_of(std::uint64_t generation) {
  static const JournalNames kNone;
  const auto found = names_.find(generation);
  return found != names_.end() ? *found->second : kNone;
}

void JournalReader::Decoder::tell(std::uint8_t worker, const JournalHit& hit, const Place& place,
                                  JournalVisitor& visitor) {
  const JournalNames& names = names_of(hit.generation);
  const auto port = [&](std::uint8_t number) -> std::string_view {
    return number < names.ports.size() ? names.ports[number] : std::string_view("?");
  };
  std::string_view rule = "?";
  std::string_view impairment = "?";
  if (hit.slot < names.rules.size()) {
    rule = names.rules[hit.slot].name;
    if (hit.step < names.rules[hit.slot].kinds.size())
      impairment = names.rules[hit.slot].kinds[hit.step];
  }
  visitor.hit(worker, {hit, place.key, place.connection, port(hit.ingress), port(hit.egress), rule,
                       impairment});
}

Result<JournalReader> JournalReader::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return tl::unexpected(Problems{
        problem_at({path, 0, 0}, fmt::format("cannot be opened: {}", std::strerror(errno)))});
  auto decoder = std::make_unique<Decoder>(descriptor);
  if (!decoder->begins_well())
    return tl::unexpected(Problems{problem_at({path, 0, 0}, "is no journal of faultline's")});
  return JournalReader(std::move(decoder));
}

JournalReader::JournalReader(std::unique_ptr<Decoder> decoder) : decoder_(std::move(decoder)) {}
JournalReader::JournalReader(JournalReader&&) noexcept = default;
JournalReader& JournalReader::operator=(JournalReader&&) noexcept = default;
JournalReader::~JournalReader() = default;

JournalEnd JournalReader::read(JournalVisitor& visitor) {
  return decoder_->read(visitor);
}
std::uint64_t JournalReader::offset_bytes() const {
  return decoder_->offset_;
}
std::uint64_t JournalReader::hits() const {
  return decoder_->hits_;
}
std::uint64_t JournalReader::lost() const {
  return decoder_->lost_;
}
std::uint64_t JournalReader::unfinished() const {
  return decoder_->unfinished_;
}

}  // namespace faultline
