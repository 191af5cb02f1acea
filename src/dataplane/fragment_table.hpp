// The ports of fragmented datagrams: shown by the first fragment, needed for the later ones.
#pragma once

#include <cstdint>

#include "dataplane/bucket_table.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {

struct FragmentCounters {
  std::uint64_t followed = 0;  ///< later fragments whose first one was known
  std::uint64_t unknown = 0;   ///< later fragments without ports: it never came, or too long ago
  std::uint64_t lost = 0;      ///< datagrams forgotten to make room while still remembered
};

class FragmentTable {
 public:
  static constexpr std::uint64_t kDatagramsMax = 16'384;
  /// How long a datagram is remembered after its first fragment.
  static constexpr std::uint64_t kKeepNs = 2'000'000'000;

  /// The table's memory is taken as it is used.
  FragmentTable() : datagrams_(kDatagramsMax, TableMemory::kWhenUsed) {}

  /// Remembers what a first fragment shows and fills in what a later one lacks; `fields` of
  /// anything else are left as they are.
  void follow(FrameFields& fields, PathId path_id, std::uint64_t now_ns) noexcept;

  const FragmentCounters& counters() const noexcept { return counters_; }
  void begin_counts() noexcept { counters_ = {}; }

 private:
  struct Datagram {
    FlowKey key;
    std::uint32_t fragment_id = 0;
    std::uint64_t forgotten_ns = 0;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    PathId path_id = 0;
  };

  BucketTable<Datagram> datagrams_;
  FragmentCounters counters_;
};

}  // namespace faultline
