// Packet sockets, and the namespaces they are made in.
#include "probe/port.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace faultline {
namespace {

constexpr int kBufferBytes = 64 << 20;
constexpr std::uint64_t kSecondNs = 1'000'000'000;
/// A time-stamp older than this is none: the wall clock has been set in between.
constexpr std::uint64_t kAgeMaxNs = 10 * kSecondNs;

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

std::uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kSecondNs +
         static_cast<std::uint64_t>(now.tv_nsec);
}

/// This thread in another namespace, until it goes back.
class Visit {
 public:
  Visit() = default;
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  ~Visit() {
    if (home_ < 0)
      return;
    // Nothing good can be done in a namespace that one cannot leave.
    if (setns(home_, CLONE_NEWNET) != 0)
      abort();
    close(home_);
  }

  Result<void> enter(const std::string& space) {
    const std::string path = "/run/netns/" + space;
    const int there = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (there < 0)
      return failure(
          fmt::format("no network namespace '{}': {}: {}", space, path, std::strerror(errno)),
          "a name that `ip netns list` shows");
    home_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    const int status = home_ < 0 ? -1 : setns(there, CLONE_NEWNET);
    const int why = errno;
    close(there);
    if (status == 0)
      return {};
    if (home_ >= 0)
      close(home_);
    home_ = -1;
    return failure(
        fmt::format("network namespace '{}' cannot be entered: {}", space, std::strerror(why)),
        "needs root, or CAP_SYS_ADMIN");
  }

 private:
  int home_ = -1;
};

/// What the kernel says of an interface.
Result<int> usable_index(int socket, const std::string& name, std::uint32_t frame_bytes) {
  const std::string interface = name.substr(name.find('/') + 1);
  ifreq request{};
  if (interface.empty() || interface.size() >= sizeof request.ifr_name)
    return failure(fmt::format("'{}' is no name of an interface", interface), "1 to 15 letters");
  std::copy(interface.begin(), interface.end(), request.ifr_name);
  if (ioctl(socket, SIOCGIFINDEX, &request) != 0)
    return failure(fmt::format("interface '{}' does not exist", name),
                   "INTERFACE, or NAMESPACE/INTERFACE; `ip link` shows what there is");
  const int index = request.ifr_ifindex;
  ioctl(socket, SIOCGIFFLAGS, &request);
  if ((request.ifr_flags & IFF_UP) == 0)
    return failure(fmt::format("interface '{}' is down", name), "ip link set dev … up");
  if ((request.ifr_flags & IFF_RUNNING) == 0)
    return failure(fmt::format("interface '{}' has no carrier", name),
                   "a cable, and an end that is up");
  ioctl(socket, SIOCGIFMTU, &request);
  const auto room = static_cast<std::uint32_t>(request.ifr_mtu) + ETH_HLEN + ETH_FCS_LEN;
  if (frame_bytes > room)
    return failure(fmt::format("interface '{}' has an MTU of {}, too small for frames of {} bytes",
                               name, request.ifr_mtu, frame_bytes),
                   fmt::format("frames of at most {} bytes", room));
  return index;
}

void set(int socket, int level, int option, int value) {
  setsockopt(socket, level, option, &value, sizeof value);
}

Result<void> tie(int socket, int index, const std::string& name, ProbeRole role) {
  // Less room is more frames missed, which is told; and no promiscuity is frames that do not come.
  if (int bytes = kBufferBytes;
      setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    set(socket, SOL_SOCKET, SO_RCVBUF, kBufferBytes);
  set(socket, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  set(socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  packet_mreq every{};
  every.mr_ifindex = index;
  every.mr_type = PACKET_MR_PROMISC;
  setsockopt(socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &every, sizeof every);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = index;
  // Without a protocol a packet socket hears nothing.
  address.sll_protocol = role == ProbeRole::kSends ? 0 : htons(ETH_P_ALL);
  if (bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return failure(fmt::format("interface '{}' cannot be used: {}", name, std::strerror(errno)));
  return {};
}

/// When the kernel had a message, by its stamp of the wall clock.
std::uint64_t stamp_of(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part))
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
      timespec stamp{};
      std::memcpy(&stamp, CMSG_DATA(part), sizeof stamp);
      return static_cast<std::uint64_t>(stamp.tv_sec) * kSecondNs +
             static_cast<std::uint64_t>(stamp.tv_nsec);
    }
  return 0;
}

class Interface final : public ProbePort {
 public:
  Interface(const std::string& name, int socket)
      : ProbePort(name), socket_(socket), buffers_(std::make_unique<Buffers>()) {}
  ~Interface() override { close(socket_); }

  int descriptor() const override { return socket_; }
  Result<std::size_t> send(std::span<const std::span<std::uint8_t>> frames) override;
  std::span<const ReceivedFrame> receive() override;
  std::uint64_t missed() override;

 private:
  struct Buffers {
    std::array<std::array<std::uint8_t, kFrameBytesMax>, kBurst> bytes;
    std::array<std::array<std::uint8_t, 64>, kBurst> control;
    std::array<iovec, kBurst> parts;
    std::array<mmsghdr, kBurst> messages;
    std::array<ReceivedFrame, kBurst> frames;
  };

  int socket_;
  std::unique_ptr<Buffers> buffers_;
  std::uint64_t missed_ = 0;
};

Result<std::size_t> Interface::send(std::span<const std::span<std::uint8_t>> frames) {
  std::array<iovec, kBurst> parts{};
  std::array<mmsghdr, kBurst> messages{};
  const std::size_t count = std::min(frames.size(), kBurst);
  for (std::size_t i = 0; i < count; ++i) {
    parts[i] = {.iov_base = frames[i].data(), .iov_len = frames[i].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int sent = sendmmsg(socket_, messages.data(), static_cast<unsigned>(count), 0);
  if (sent >= 0)
    return static_cast<std::size_t>(sent);
  if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
    return std::size_t{0};
  return failure(fmt::format("interface '{}' takes no frame: {}", name(), std::strerror(errno)));
}

std::span<const ReceivedFrame> Interface::receive() {
  Buffers& all = *buffers_;
  for (std::size_t i = 0; i < kBurst; ++i) {
    all.parts[i] = {.iov_base = all.bytes[i].data(), .iov_len = kFrameBytesMax};
    all.messages[i] = {};
    all.messages[i].msg_hdr.msg_iov = &all.parts[i];
    all.messages[i].msg_hdr.msg_iovlen = 1;
    all.messages[i].msg_hdr.msg_control = all.control[i].data();
    all.messages[i].msg_hdr.msg_controllen = all.control[i].size();
  }
  const int came = recvmmsg(socket_, all.messages.data(), kBurst, MSG_DONTWAIT, nullptr);
  if (came <= 0)
    return {};
  const std::uint64_t wall_ns = clock_ns(CLOCK_REALTIME);
  const std::uint64_t now_ns = monotonic_ns();
  for (std::size_t i = 0; i < static_cast<std::size_t>(came); ++i) {
    const std::uint64_t age_ns = wall_ns - stamp_of(all.messages[i].msg_hdr);
    all.frames[i] = {.bytes = {all.bytes[i].data(), all.messages[i].msg_len},
                     .arrival_ns = age_ns < kAgeMaxNs ? now_ns - age_ns : now_ns};
  }
  return {all.frames.data(), static_cast<std::size_t>(came)};
}

std::uint64_t Interface::missed() {
  tpacket_stats statistics{};
  socklen_t size = sizeof statistics;
  // Each look begins the kernel's count anew.
  if (getsockopt(socket_, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
    missed_ += statistics.tp_drops;
  return missed_;
}

}  // namespace

Result<ProbePortPtr> open_interface(const std::string& name, ProbeRole role,
                                    std::uint32_t frame_bytes) {
  Visit visit;
  if (const std::size_t slash = name.find('/'); slash != std::string::npos)
    if (auto entered = visit.enter(name.substr(0, slash)); !entered)
      return tl::unexpected(std::move(entered.error()));
  // Of no protocol, so that it hears nothing before it is tied to its interface.
  const int socket = ::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0)
    return failure(fmt::format("no packet socket for '{}': {}", name, std::strerror(errno)),
                   "needs root, or CAP_NET_RAW");
  auto port = std::make_unique<Interface>(name, socket);
  const Result<int> index = usable_index(socket, name, frame_bytes);
  if (!index)
    return tl::unexpected(index.error());
  if (auto tied = tie(socket, *index, name, role); !tied)
    return tl::unexpected(std::move(tied.error()));
  return port;
}

}  // namespace faultline
