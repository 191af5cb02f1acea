// Which station is behind which port of a switch, learned from the frames that come in. Bounded and
// aged: a station that was silent for too long is not known any more, and when there is no room the
// one heard longest ago gives way, which is counted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/bucket_table.hpp"

namespace faultline {

struct MacCounters {
  std::uint64_t learned = 0;  ///< stations that were not known
  std::uint64_t moved = 0;    ///< known ones that were heard at another port
  std::uint64_t evicted = 0;  ///< forgotten to make room
};

class MacTable {
 public:
  MacTable(std::uint64_t stations_max, std::uint64_t age_ns)
      : stations_(stations_max, TableMemory::kWhenUsed), age_ns_(age_ns) {}

  /// What tells stations apart: the MAC address and, as 802.1Q has it, the VLAN of the frame.
  /// `bytes` are an address's first.
  static std::uint64_t station_of(const std::uint8_t* bytes, std::uint16_t vlan) noexcept {
    std::uint64_t station = vlan;
    for (int at = 0; at < 6; ++at) station = station << 8 | bytes[at];
    return station;
  }

  /// A frame of this station came in by `port`.
  void learn(std::uint64_t station, std::uint8_t port, std::uint64_t now_ns) noexcept {
    const std::uint64_t spread = spread_of(station);
    Station* known = find(station, spread);
    if (known == nullptr) {
      ++counters_.learned;
      const auto room = stations_.room_for(spread, [](const Station& left, const Station& right) {
        return left.heard_ns < right.heard_ns;
      });
      counters_.evicted += room.taken ? 1U : 0U;
      known = &stations_.take(room, spread);
      *known = {station, now_ns, port};
      return;
    }
    counters_.moved += known->port != port ? 1U : 0U;
    known->port = port;
    known->heard_ns = now_ns;
  }

  /// The port behind which the station was heard, unless that is too long ago.
  std::optional<std::uint8_t> port_of(std::uint64_t station, std::uint64_t now_ns) noexcept {
    const Station* known = find(station, spread_of(station));
    if (known == nullptr || now_ns - known->heard_ns > age_ns_)
      return std::nullopt;
    return known->port;
  }

  const MacCounters& counters() const noexcept { return counters_; }

 private:
  struct Station {
    std::uint64_t name = 0;
    std::uint64_t heard_ns = 0;
    std::uint8_t port = 0;
  };

  static std::uint64_t spread_of(std::uint64_t station) noexcept {
    const std::uint64_t mixed = (station + 1) * 0x9E3779B97F4A7C15;
    return mixed ^ (mixed >> 32);
  }
  Station* find(std::uint64_t station, std::uint64_t spread) noexcept {
    return stations_.find(spread, [&](const Station& known) { return known.name == station; });
  }

  BucketTable<Station> stations_;
  std::uint64_t age_ns_;
  MacCounters counters_;
};

}  // namespace faultline
