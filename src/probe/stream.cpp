// Sending what is due and checking what has come, in turn.
#include "probe/stream.hpp"

#include <poll.h>

#include <algorithm>
#include <bit>
#include <memory>

namespace faultline {
namespace {

/// Numbers that all flows together are watched over.
constexpr std::uint32_t kWindowAll = 1U << 22;
constexpr std::uint32_t kWindowMax = 1U << 20;
constexpr std::uint64_t kSecondNs = 1'000'000'000;

/// One way from a port to another.
class Way {
 public:
  Way(const StreamOptions& options, const ProbeRoute& route, ProbePort& from, ProbePort& to)
      : options_(options), frames_(options.run, route), from_(from), to_(to) {
    const std::uint32_t window = std::min(kWindowMax, kWindowAll / std::bit_ceil(options.flows));
    flows_.resize(options.flows);
    for (std::uint32_t flow = 0; flow < options.flows; ++flow) checkers_.emplace_back(window);
    buffers_ = std::make_unique<std::uint8_t[]>(ProbePort::kBurst * ProbePort::kFrameBytesMax);
  }

  ProbePort& listener() { return to_; }
  std::uint64_t sent() const { return result_.sent; }
  std::uint64_t received() const { return result_.delays.packets(); }
  std::uint64_t most_delay_ns() const { return result_.delays.most_ns(); }
  bool complete() const { return options_.count > 0 && result_.sent >= options_.count; }

  /// How many frames should have been sent by now.
  std::uint64_t due(std::uint64_t elapsed_ns) const {
    std::uint64_t due = UINT64_MAX;
    if (options_.frames_per_second > 0)
      due = 1 + static_cast<std::uint64_t>(static_cast<double>(elapsed_ns) / 1e9 *
                                           options_.frames_per_second);
    return options_.count > 0 ? std::min(due, options_.count) : due;
  }
  /// When the next one is, after the start.
  std::uint64_t next_ns() const {
    return options_.frames_per_second > 0
               ? static_cast<std::uint64_t>(static_cast<double>(result_.sent) * 1e9 /
                                            options_.frames_per_second)
               : 0;
  }

  /// A burst of what is due; whether there was anything.
  Result<bool> send(std::uint64_t due) {
    const std::size_t count = std::min<std::uint64_t>(due - result_.sent, ProbePort::kBurst);
    std::array<std::span<std::uint8_t>, ProbePort::kBurst> burst{};
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t turn = result_.sent + i;
      const ProbeMark mark{.flow = static_cast<std::uint16_t>(turn % options_.flows),
                           .number = static_cast<std::uint32_t>(turn / options_.flows),
                           .stamp_ns = monotonic_ns()};
      burst[i] =
          frames_.make(mark, size_of(turn),
                       {buffers_.get() + i * ProbePort::kFrameBytesMax, ProbePort::kFrameBytesMax});
    }
    const Result<std::size_t> sent = from_.send({burst.data(), count});
    if (!sent)
      return tl::unexpected(sent.error());
    for (std::size_t i = 0; i < *sent; ++i) {
      const std::uint64_t turn = result_.sent + i;
      ++flows_[turn % options_.flows].sent;
      result_.sent_bytes += size_of(turn);
    }
    result_.sent += *sent;
    return *sent > 0;
  }

  /// A burst of what has come; whether there was anything of ours.
  bool receive() {
    bool any = false;
    for (const ReceivedFrame& frame : to_.receive()) any = take(frame) || any;
    return any;
  }

  StreamResult result(std::uint64_t sent_in_ns) {
    result_.sent_in_ns = sent_in_ns;
    result_.missed = to_.missed();
    for (std::size_t flow = 0; flow < checkers_.size(); ++flow) {
      checkers_[flow].end(flows_[flow].sent);
      flows_[flow].counts = checkers_[flow].counts();
      result_.counts.add(flows_[flow].counts);
    }
    result_.flows = std::move(flows_);
    return std::move(result_);
  }

 private:
  std::uint32_t size_of(std::uint64_t turn) const {
    // All sizes in all flows, whatever the two counts have in common.
    const std::uint64_t step = turn / options_.flows + turn % options_.flows;
    return options_.sizes[step % options_.sizes.size()];
  }

  bool take(const ReceivedFrame& frame) {
    const ProbeReading reading = frames_.read(frame.bytes);
    switch (reading.fate) {
      case ProbeFate::kForeign:
        ++result_.foreign;
        return false;
      case ProbeFate::kCorrupted:
        ++result_.corrupted;
        return true;
      case ProbeFate::kWhole:
        break;
    }
    if (reading.mark.flow >= checkers_.size()) {
      ++result_.foreign;
      return false;
    }
    result_.changed += reading.headers_changed ? 1 : 0;
    const std::uint64_t delay_ns = (frame.arrival_ns - reading.mark.stamp_ns) & kStampMask;
    // A frame cannot come before it was sent; two clocks read one after the other may say so.
    const std::uint64_t sane_ns = delay_ns > kStampMask / 2 ? 0 : delay_ns;
    checkers_[reading.mark.flow].take(reading.mark.number);
    result_.delays.add(sane_ns);
    if (options_.by_flow)
      flows_[reading.mark.flow].delays.add(sane_ns);
    return true;
  }

  const StreamOptions& options_;
  ProbeFrames frames_;
  ProbePort& from_;
  ProbePort& to_;
  std::vector<SequenceChecker> checkers_;
  std::vector<FlowResult> flows_;
  std::unique_ptr<std::uint8_t[]> buffers_;
  StreamResult result_;
};

class Stream {
 public:
  Stream(const StreamOptions& options, ProbePort& from, ProbePort& to,
         const std::atomic<bool>& stop)
      : options_(options), stop_(stop) {
    ways_.push_back(std::make_unique<Way>(options, options.route, from, to));
    if (options.both)
      ways_.push_back(std::make_unique<Way>(options,
                                            ProbeRoute{.from = options.route.to,
                                                       .to = options.route.from,
                                                       .ipv6 = options.route.ipv6,
                                                       .port = options.route.port,
                                                       .backwards = true},
                                            to, from));
  }

  Result<StreamOutcome> run(const std::function<void(const StreamProgress&)>& progress) {
    start_ns_ = monotonic_ns();
    std::uint64_t told_ns = start_ns_;
    while (!over()) {
      const Result<bool> moved = turn();
      if (!moved)
        return tl::unexpected(moved.error());
      if (!*moved)
        rest();
      if (progress && now_ns_ - told_ns >= kSecondNs) {
        told_ns = now_ns_;
        progress(so_far());
      }
    }
    StreamOutcome outcome{.ways = {}, .silent = silent_};
    for (const auto& way : ways_) outcome.ways.push_back(way->result(last_sent_ns_ - start_ns_));
    return outcome;
  }

 private:
  bool sending() const {
    if (stop_ || silent_ ||
        (options_.duration_ns > 0 && now_ns_ - start_ns_ >= options_.duration_ns))
      return false;
    return std::any_of(ways_.begin(), ways_.end(),
                       [](const auto& way) { return !way->complete(); });
  }

  /// Nothing more is sent, and nothing has come for a while: twice as long as any frame took.
  bool over() {
    now_ns_ = monotonic_ns();
    if (options_.silence_ns > 0 && now_ns_ - start_ns_ >= options_.silence_ns)
      for (const auto& way : ways_) silent_ = silent_ || way->received() == 0;
    if (sending())
      return false;
    if (silent_)
      return true;
    std::uint64_t linger_ns = options_.linger_ns;
    for (const auto& way : ways_) linger_ns = std::max(linger_ns, 2 * way->most_delay_ns());
    return now_ns_ - std::max(last_sent_ns_, last_came_ns_) >= linger_ns;
  }

  Result<bool> turn() {
    bool moved = false;
    if (sending())
      for (const auto& way : ways_) {
        const std::uint64_t due = way->due(now_ns_ - start_ns_);
        if (due <= way->sent())
          continue;
        const Result<bool> sent = way->send(due);
        if (!sent)
          return sent;
        moved = moved || *sent;
      }
    if (moved)
      last_sent_ns_ = now_ns_;
    for (const auto& way : ways_)
      // Both ways are heard however busy one is.
      for (int burst = 0; burst < 4 && way->receive(); ++burst) {
        last_came_ns_ = now_ns_;
        moved = true;
      }
    return moved;
  }

  /// Until the next frame is due or one comes, and not for long: time is looked at again.
  void rest() const {
    std::uint64_t wait_ns = 10'000'000;
    if (sending())
      for (const auto& way : ways_) {
        const std::uint64_t due_ns = start_ns_ + way->next_ns();
        wait_ns = std::min(wait_ns, due_ns > now_ns_ ? due_ns - now_ns_ : 0);
      }
    if (wait_ns < 50'000)
      return;  // a sleep would take longer
    std::array<pollfd, 2> heard{};
    for (const auto& way : ways_)
      if (way->listener().descriptor() < 0)
        return;  // time passes there whether one looks or not
    for (std::size_t i = 0; i < ways_.size(); ++i)
      heard[i] = {.fd = ways_[i]->listener().descriptor(), .events = POLLIN, .revents = 0};
    const timespec wait{.tv_sec = 0, .tv_nsec = static_cast<long>(wait_ns - 50'000)};
    ppoll(heard.data(), ways_.size(), &wait, nullptr);
  }

  StreamProgress so_far() const {
    StreamProgress progress{.elapsed_ns = now_ns_ - start_ns_};
    for (const auto& way : ways_) {
      progress.sent += way->sent();
      progress.received += way->received();
    }
    return progress;
  }

  const StreamOptions& options_;
  const std::atomic<bool>& stop_;
  std::vector<std::unique_ptr<Way>> ways_;
  std::uint64_t start_ns_ = 0;
  std::uint64_t now_ns_ = 0;
  std::uint64_t last_sent_ns_ = 0;
  std::uint64_t last_came_ns_ = 0;
  bool silent_ = false;
};

}  // namespace

double StreamResult::rate() const {
  // The first one is sent at the start: between n frames there are n − 1 gaps.
  return sent < 2 || sent_in_ns == 0
             ? 0
             : static_cast<double>(sent - 1) * 1e9 / static_cast<double>(sent_in_ns);
}

Result<StreamOutcome> run_stream(const StreamOptions& options, ProbePort& from, ProbePort& to,
                                 const std::atomic<bool>& stop,
                                 const std::function<void(const StreamProgress&)>& progress) {
  return Stream(options, from, to, stop).run(progress);
}

}  // namespace faultline
