// What a worker puts into the ring of a journal: records of whole eight-byte words, the kind in the
// first byte. They are made to be written quickly; the file has a form of its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "dataplane/connection_table.hpp"
#include "impair/burst.hpp"
#include "packet/flow_key.hpp"

namespace faultline {

enum class JournalRecord : std::uint8_t {
  kFill = 0,     ///< nothing up to the ring's end
  kAdopted = 1,  ///< the policy by which packets are judged from here on
  kHead = 2,     ///< of the packets of the records behind it
  kFlow = 3,     ///< a flow has taken this place
  kHit = 4,      ///< one impairment did all that was done to a packet
  kTouch = 5,    ///< one of the things done to a packet, with everything that may be said
  kFork = 6,     ///< a packet that waited was copied, with what had befallen it until then
  kGone = 7,     ///< a packet that was decided to live did not leave
  kLost = 8,     ///< hits that found no room here
  kSame = 9,     ///< as kHit, and the same was done as by the hit before
};

/// Whether a packet's way is known.
enum class JournalFate : std::uint8_t {
  kSent,     ///< at release_ns
  kDropped,  ///< by a rule
  kAside,    ///< not yet: it waits to be judged on
};

/// The place of a flow that has none of its own any more: it counts until the next one.
inline constexpr std::uint32_t kNoFlowPlace = UINT32_MAX;
/// Instead of a rule's slot: nothing was done, it says only whose the packet is or what became
/// of it.
inline constexpr std::uint16_t kNoSlot = UINT16_MAX;

/// Which connection a flow is one direction of, where dice are thrown by that.
struct FlowConnection {
  std::uint64_t before = 0;   ///< packets that the flow had before it
  std::uint32_t ordinal = 0;  ///< among its client's connections to the service, from 1; 0: unknown
  Role role = Role::kAny;     ///< whether the flow is the client's or the server's

  bool known() const noexcept { return ordinal != 0; }
  bool operator==(const FlowConnection&) const = default;
};

/// Of the packet with this number in its flow. Fragments of many connections are one flow without
/// ports, which is none of them.
inline FlowConnection flow_connection(const FrameFields& fields, const ConnectionPlace& place,
                                      std::uint64_t number) noexcept {
  const bool portless = fields.fragment != FragmentKind::kNone && has_ports(fields.key.protocol);
  if (place.role == Role::kAny || portless)
    return {};
  return {number - place.number, place.ordinal, place.role};
}

struct JournalAdopted {
  JournalRecord kind = JournalRecord::kAdopted;
  std::uint8_t reserved[7]{};
  std::uint64_t generation = 0;
  std::uint64_t zero_ns = 0;
};

struct JournalHead {
  JournalRecord kind = JournalRecord::kHead;
  std::uint8_t ingress = 0;
  std::uint8_t egress = 0;
  std::uint8_t reserved = 0;
  std::uint32_t sequence = 0;
  std::uint64_t arrival_ns = 0;
};

struct JournalFlow {
  JournalRecord kind = JournalRecord::kFlow;
  std::uint8_t ingress = 0;
  std::uint8_t egress = 0;
  Role role = Role::kAny;  ///< as in FlowConnection, and so are ordinal and before
  std::uint32_t place = 0;
  FlowKey key;
  std::uint32_t ordinal = 0;
  std::uint64_t before = 0;

  FlowConnection connection() const noexcept { return {before, ordinal, role}; }
};

struct JournalHitRecord {
  JournalRecord kind = JournalRecord::kHit;
  std::uint8_t behind = 0;  ///< the head's packet, in sequence
  std::uint8_t step = 0;    ///< of the rule
  DropReason reason = DropReason::kNone;
  std::uint16_t slot = 0;  ///< of the rule
  std::uint16_t length_bytes = 0;
  std::uint32_t hash = 0;
  std::uint32_t place = 0;  ///< of its flow
  std::uint64_t number = 0;
  std::uint64_t delay_ns = 0;
};

struct JournalSame {
  JournalRecord kind = JournalRecord::kSame;
  std::uint8_t behind = 0;
  std::uint16_t length_bytes = 0;
  std::uint32_t hash = 0;
  std::uint32_t place = 0;
  std::uint32_t number = 0;  ///< of one below 2^32
};

struct JournalTouch {
  static constexpr std::uint8_t kMarked = 1;
  static constexpr std::uint8_t kEdited = 2;
  static constexpr std::uint8_t kAnswered = 4;
  static constexpr std::uint8_t kReplaces = 8;   ///< what was said of this step before
  static constexpr std::uint8_t kWaited = 16;    ///< whose it is was said when it began to
  static constexpr std::uint8_t kIdentity = 32;  ///< of the packet `from` that waited

  JournalHitRecord hit;  ///< kind kTouch
  std::uint64_t release_ns = 0;
  JournalFate fate = JournalFate::kSent;
  std::uint8_t flags = 0;
  std::uint8_t copy = 0;
  std::uint8_t copies = 0;
  std::uint8_t from = 0;         ///< with kIdentity: which copy of the packet,
  std::uint8_t from_egress = 0;  ///< and on its way to where
  std::uint16_t reserved = 0;
};

struct JournalFork {
  JournalRecord kind = JournalRecord::kFork;
  std::uint8_t behind = 0;
  std::uint8_t of = 0;
  std::uint8_t copy = 0;
  std::uint32_t reserved = 0;
};

struct JournalGone {
  JournalRecord kind = JournalRecord::kGone;
  std::uint8_t ingress = 0;
  std::uint8_t egress = 0;
  std::uint8_t copy = 0;
  std::uint32_t sequence = 0;
  std::uint64_t arrival_ns = 0;
  DropReason reason = DropReason::kNone;
  std::uint8_t reserved[7]{};
};

struct JournalLost {
  JournalRecord kind = JournalRecord::kLost;
  std::uint8_t reserved[7]{};
  std::uint64_t hits = 0;
};

template <typename Record>
constexpr std::size_t words_of() noexcept {
  static_assert(sizeof(Record) % 8 == 0);
  return sizeof(Record) / 8;
}

/// Writes the record and gives the place behind it.
template <typename Record>
std::uint64_t* put_record(std::uint64_t* place, const Record& record) noexcept {
  std::memcpy(place, &record, sizeof record);
  return place + words_of<Record>();
}

}  // namespace faultline
