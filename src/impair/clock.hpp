// What a scenario says of a clock that is wrong, compiled. How it is read is in clock_reader.cpp,
// what is done with it in clock.cpp.
#pragma once

#include <cstdint>
#include <optional>

#include "impair/clock_law.hpp"
#include "impair/impairment.hpp"
#include "packet/ntp.hpp"
#include "packet/ptp.hpp"

namespace faultline {

/// Who is told the wrong time: those who ask the node, or the node by those it asks. By itself:
/// what the first packet says that tells the time from the node or to it.
enum class ClockRole : std::uint8_t { kByItself, kSource, kVictim };

/// What NTP's header says of the clock beside its stamps; absent: it stays.
struct NtpFaults {
  std::optional<NtpLeap> leap;
  std::optional<std::uint8_t> stratum;
  std::optional<std::uint32_t> root_delay;  ///< 2^-16 s
  std::optional<std::uint32_t> root_dispersion;
  std::uint32_t kiss = 0;  ///< of a kiss-o'-death, four letters; 0: none

  bool any() const noexcept {
    return leap || stratum || root_delay || root_dispersion || kiss != 0;
  }
};

/// By a delay that one direction has and the other has not.
struct ClockAsymmetry {
  bool wanted = false;
  bool ahead = false;          ///< the one who tells the time
  std::uint64_t delay_ns = 0;  ///< at the end
  std::uint64_t ramp_ns = 0;   ///< by so much more a second; 0: all of it at once
};

struct WrongClock {
  std::uint32_t node = 0;  ///< index of the node
  ClockRole role = ClockRole::kByItself;
  bool ntp = true;
  bool ptp = true;
  bool drops_authenticated = false;
  bool corrects = false;        ///< PTP: by the correctionField, stamps stay
  bool allows_mutable = false;  ///< PTP: the correctionField is in no authentication
  bool drops_announce = false;
  bool announces = false;  ///< `announce` says something
  ClockLaw ntp_law;        ///< in 2^-32 s
  ClockLaw ptp_law;        ///< in ns
  NtpFaults header;
  PtpAnnounce announce;
  ClockAsymmetry asymmetry;

  bool shifts() const noexcept { return ntp_law.offset != 0 || ntp_law.has_start(); }
};

/// Reads the value of `clock:`. What is wrong with it is in `problems` then.
WrongClock read_clock(const ConfigNode& node, const CompileContext& context, Problems& problems);

}  // namespace faultline
