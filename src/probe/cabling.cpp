// The cabling test.
#include "probe/cabling.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <set>

#include "probe/port.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kGapNs = 10'000'000;

class Cabling {
 public:
  Cabling(const CablingOptions& options, const std::vector<ProbePortPtr>& ports)
      : options_(options),
        // Nobody's addresses: a bridge floods the frames, and no host takes them for its own.
        frames_(options.run, {.from = {.mac = {0x02, 0x66, 0x6C, 0, 0, 1}, .ip = {198, 18, 0, 1}},
                              .to = {.mac = {0x02, 0x66, 0x6C, 0, 0, 2}, .ip = {198, 18, 0, 2}}}),
        ports_(ports) {}

  Result<std::vector<Heard>> find() {
    heard_.resize(ports_.size() * ports_.size());
    numbers_.resize(heard_.size());
    for (std::uint32_t number = 0; number < options_.frames; ++number)
      for (std::size_t from = 0; from < ports_.size(); ++from) {
        if (const Result<std::size_t> sent = say(from, number); !sent)
          return tl::unexpected(sent.error());
        listen(kGapNs);
      }
    listen(options_.linger_ns);
    std::vector<Heard> found;
    std::copy_if(heard_.begin(), heard_.end(), std::back_inserter(found),
                 [](const Heard& each) { return each.frames > 0; });
    return found;
  }

 private:
  Result<std::size_t> say(std::size_t from, std::uint32_t number) {
    std::array<std::uint8_t, kProbeBytesMin> bytes{};
    const std::span<std::uint8_t> frame = frames_.make(
        {.flow = static_cast<std::uint16_t>(from), .number = number, .stamp_ns = monotonic_ns()},
        kProbeBytesMin, bytes);
    return ports_[from]->send({&frame, 1});
  }

  void listen(std::uint64_t for_ns) {
    const std::uint64_t end_ns = monotonic_ns() + for_ns;
    std::vector<pollfd> waits;
    bool tells = true;
    for (const ProbePortPtr& port : ports_) {
      waits.push_back({.fd = port->descriptor(), .events = POLLIN, .revents = 0});
      tells = tells && port->descriptor() >= 0;
    }
    for (std::uint64_t now_ns = monotonic_ns(); now_ns < end_ns; now_ns = monotonic_ns()) {
      const timespec wait{
          .tv_sec = 0, .tv_nsec = tells ? static_cast<long>(std::min(end_ns - now_ns, kGapNs)) : 0};
      ppoll(waits.data(), waits.size(), &wait, nullptr);
      for (std::size_t by = 0; by < ports_.size(); ++by)
        for (const ReceivedFrame& frame : ports_[by]->receive()) hear(by, frame);
    }
  }

  void hear(std::size_t by, const ReceivedFrame& frame) {
    const ProbeReading reading = frames_.read(frame.bytes);
    if (reading.fate != ProbeFate::kWhole || reading.mark.flow >= ports_.size())
      return;
    const std::size_t place = reading.mark.flow * ports_.size() + by;
    if (!numbers_[place].insert(reading.mark.number).second)
      return;
    const std::uint64_t delay_ns = (frame.arrival_ns - reading.mark.stamp_ns) & kStampMask;
    Heard& heard = heard_[place];
    heard.delay_ns = heard.frames == 0 ? delay_ns : std::min(heard.delay_ns, delay_ns);
    heard.from = reading.mark.flow;
    heard.by = by;
    ++heard.frames;
  }

  const CablingOptions& options_;
  ProbeFrames frames_;
  const std::vector<ProbePortPtr>& ports_;
  std::vector<Heard> heard_;                      ///< sender · ports + listener
  std::vector<std::set<std::uint32_t>> numbers_;  ///< likewise
};

}  // namespace

Result<std::vector<Heard>> find_cables(const CablingOptions& options,
                                       const std::vector<ProbePortPtr>& ports) {
  return Cabling(options, ports).find();
}

}  // namespace faultline
