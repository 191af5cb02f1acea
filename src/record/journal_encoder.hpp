// From what a worker puts into its ring to what stands in the journal's file. Packets that were
// judged in more than one go are put together here, so that each hit of the file says all that is
// to be said of it; and hits are summed up to a digest for each flow and second. One for a worker.
#pragma once

#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "record/journal_format.hpp"

namespace faultline {

/// What a hit's packet met, as a number that sums up: equal in two runs whose packets met the same.
/// `rule` is its rule's name, hashed.
std::uint64_t journal_digest(const JournalHit& hit, std::uint64_t rule) noexcept;

class JournalEncoder {
 public:
  /// Names may be asked for by generation; null where it is not known.
  using NamesOf = std::function<const JournalNames*(std::uint64_t generation)>;
  explicit JournalEncoder(NamesOf names_of) : names_of_(std::move(names_of)) {}

  /// Whole records, as RecordRing::take() gives them.
  void encode(std::span<const std::uint64_t> words);
  /// No more will come: digests so far.
  void end();
  /// Coded since this was taken last.
  JournalBytes& bytes() { return bytes_; }

  std::uint64_t hits() const { return hits_; }
  /// Hits of packets that waited and of which nobody knows any more, or yet, whose they are.
  std::uint64_t forgotten() const { return lost_; }
  /// Hits of packets that have not left yet.
  std::uint64_t unfinished() const;

 private:
  struct Place {
    FlowKey key;
    FlowConnection connection;
    std::uint32_t version = 0;  ///< how often it has changed hands
    std::uint16_t length_bytes = 0;
    std::uint8_t ingress = 0;
    std::uint8_t egress = 0;
    bool told = false;  ///< in the file
    std::uint64_t number = 0;
    std::uint64_t second = 0;
    std::uint64_t digest = 0;
    std::uint64_t hits = 0;  ///< in the digest
  };
  /// A packet that waits to be judged on.
  struct Waiting {
    FlowKey key;
    FlowConnection connection;
    std::uint32_t place = kNoFlowPlace;
    std::uint32_t version = 0;
    bool known = false;  ///< whose it is
    JournalHit identity;
    std::vector<JournalHit> hits;
  };
  struct Who {
    std::uint32_t sequence = 0;
    std::uint8_t egress = 0;
    std::uint8_t copy = 0;
    std::uint64_t number() const {
      return std::uint64_t{sequence} << 16 | std::uint64_t{egress} << 8 | copy;
    }
  };

  void adopted(const JournalAdopted& adopted);
  void flow(const JournalFlow& flow);
  void hit(const JournalHitRecord& record);
  void same(const JournalSame& same);
  void touch(const JournalTouch& touch);
  void fork(const JournalFork& fork);
  void gone(const JournalGone& gone);
  void lost(std::uint64_t hits);
  JournalHit hit_of(const JournalHitRecord& record) const;
  void wait(const JournalTouch& touch, JournalHit hit);
  void leave(std::uint64_t who, JournalFate fate, std::uint64_t release_ns);
  void leave(Waiting& waiting, JournalFate fate, std::uint64_t release_ns);
  void write(JournalHit hit, Place& place);
  void write_how(const JournalHit& hit, Place& place, std::uint8_t code);
  void sum_up(const JournalHit& hit, Place& place);
  void tell_digest(Place& place, std::uint32_t number);
  void tell_flow(Place& place, std::uint32_t number);
  void tell_digests();
  Place& place_of(std::uint32_t place);

  NamesOf names_of_;
  JournalBytes bytes_;
  std::vector<Place> places_;  ///< by number, from 1; the first is of flows that have none
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  std::vector<std::uint32_t> summed_;  ///< places with a digest that is not told yet
  JournalHead head_;
  JournalHitRecord hit_before_;
  JournalHit last_;  ///< as the file has it
  std::uint64_t generation_ = 0;
  std::unordered_map<std::uint64_t, std::uint64_t> zero_ns_;  ///< by generation
  bool named_ = false;
  std::uint64_t named_generation_ = 0;
  const JournalNames* names_ = nullptr;  ///< of that
  std::uint64_t second_begin_ns_ = 0;
  std::uint64_t second_end_ns_ = 0;
  std::uint64_t second_ = 0;
  std::uint64_t second_generation_ = 0;
  std::uint64_t hits_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace faultline
