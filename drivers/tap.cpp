// driver: tap. An interface that the daemon makes, in its own network namespace or a named one, and
// that goes with it. Why not DPDK's net_tap: docs/decisions/0011-tap.md.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include <fmt/format.h>

#include "dataplane/mbufs.hpp"
#include "drivers/driver.hpp"
#include "drivers/interface.hpp"

namespace faultline {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0)
      close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int get() const noexcept { return number_; }
  int release() noexcept { return std::exchange(number_, -1); }

 private:
  int number_;
};

class TapPort final : public LivePort {
 public:
  TapPort(Descriptor file, std::uint32_t mtu_bytes, rte_mempool* pool)
      : LivePort(mtu_bytes), file_(std::move(file)), pool_(pool) {}
  ~TapPort() override { rte_pktmbuf_free(spare_); }

  std::uint32_t receive(rte_mbuf** mbufs, std::uint32_t count) noexcept override {
    std::uint32_t received = 0;
    while (received < count && read_into_spare())
      mbufs[received++] = std::exchange(spare_, nullptr);
    return received;
  }

  Transmitted transmit(const OutBurst& burst, std::uint32_t first) noexcept override {
    std::uint32_t sent = 0;
    while (first + sent < burst.count) {
      rte_mbuf* mbuf = burst.mbufs[first + sent];
      if (write(file_.get(), rte_pktmbuf_mtod(mbuf, const void*), mbuf->pkt_len) < 0)
        return {sent, errno != EAGAIN && errno != EINTR};
      free_mbufs(&mbuf, 1);
      ++sent;
    }
    return {sent, false};
  }

  int descriptor() const noexcept { return file_.get(); }

 private:
  /// One frame, if there is one. The mbuf of a read that found none waits for the next.
  bool read_into_spare() noexcept {
    if (spare_ == nullptr && (spare_ = rte_pktmbuf_alloc(pool_)) == nullptr)
      return false;
    const ssize_t length =
        read(file_.get(), rte_pktmbuf_mtod(spare_, void*), rte_pktmbuf_tailroom(spare_));
    if (length <= 0)
      return false;
    rte_pktmbuf_append(spare_, static_cast<std::uint16_t>(length));
    return true;
  }

  Descriptor file_;
  rte_mempool* pool_;
  rte_mbuf* spare_ = nullptr;
};

class TapDevice final : public Device {
 public:
  /// `control` is a socket of the namespace that the interface is in.
  TapDevice(const std::string& name, int control) : interface_(name, control) {}

  const KernelInterface& interface() const { return interface_; }
  void add(std::unique_ptr<TapPort> queue) {
    first_ = first_ != nullptr ? first_ : queue.get();
    add_queue(std::move(queue));
  }
  bool force_link(bool up) override {
    const int carrier = up ? 1 : 0;
    return ioctl(first_->descriptor(), TUNSETCARRIER, &carrier) == 0;
  }
  std::string mac_address() override { return interface_.mac_address(); }

 private:
  bool link_is_up() override { return interface_.is_up(); }

  KernelInterface interface_;
  TapPort* first_ = nullptr;
};

/// What is opened inside the namespace stays there.
struct Opened {
  std::vector<Descriptor> queues;
  Descriptor control;
  const char* failed_step = nullptr;
  int error = 0;
};

void open_here(const PortSettings& settings, Opened& opened) {
  const auto fail = [&](const char* step) {
    opened.failed_step = step;
    opened.error = errno;
  };
  opened.control = Descriptor(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (opened.control.get() < 0)
    return fail("a socket to ask with");
  for (std::uint16_t queue = 0; queue < settings.queues; ++queue) {
    Descriptor file(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (file.get() < 0)
      return fail("/dev/net/tun");
    ifreq request{};
    settings.interface.copy(request.ifr_name, IFNAMSIZ - 1);
    const int flags = IFF_TAP | IFF_NO_PI | (settings.queues > 1 ? IFF_MULTI_QUEUE : 0);
    request.ifr_flags = static_cast<short>(flags);
    if (ioctl(file.get(), TUNSETIFF, &request) != 0)
      return fail("making it");
    opened.queues.push_back(std::move(file));
  }
}

/// A thread of its own enters the namespace, so that no other ever leaves the daemon's.
Opened open_in_namespace(const PortSettings& settings) {
  Opened opened;
  if (settings.netns.empty()) {
    open_here(settings, opened);
    return opened;
  }
  std::thread([&] {
    const std::string path = "/run/netns/" + settings.netns;
    const Descriptor space(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (space.get() >= 0 && setns(space.get(), CLONE_NEWNET) == 0)
      return open_here(settings, opened);
    opened.failed_step = "entering its network namespace";
    opened.error = errno;
  }).join();
  return opened;
}

tl::unexpected<Problems> refuse(const PortSpec& spec, const Opened& opened) {
  const std::string place = fmt::format("{}: {}", opened.failed_step, std::strerror(opened.error));
  std::string allowed;
  if (opened.error == ENOENT && !spec.settings.netns.empty())
    allowed = fmt::format("a namespace that `ip netns` lists, not '{}'", spec.settings.netns);
  else if (opened.error == EPERM)
    allowed = "root, a process with cap_net_admin, or a tap made for this user beforehand";
  else if (opened.error == EBUSY)
    allowed = "an interface that no other program holds";
  else if (opened.error == EINVAL)
    allowed = "a name that is no other kind of interface, and as many queues as it was made for";
  return refuse_interface(spec, "cannot be used: " + place, allowed);
}

}  // namespace

Result<OpenedPort> open_tap(const PortSpec& spec, rte_mempool* pool) {
  Opened opened = open_in_namespace(spec.settings);
  if (opened.failed_step != nullptr)
    return refuse(spec, opened);
  auto device = std::make_unique<TapDevice>(spec.settings.interface, opened.control.release());
  for (Descriptor& queue : opened.queues)
    device->add(std::make_unique<TapPort>(std::move(queue), spec.settings.mtu_bytes, pool));
  const KernelInterface& interface = device->interface();
  if (interface.mtu_bytes() != spec.settings.mtu_bytes &&
      !interface.set_mtu(spec.settings.mtu_bytes))
    return refuse_interface_errno(spec, "setting its MTU", errno);
  std::vector<std::string> warnings;
  if (!interface.set_admin_up(true))
    warnings.push_back(fmt::format("port '{0}': interface '{1}' is down; ip link set {1} up",
                                   spec.name, interface.name()));
  device->watch_link();
  return OpenedPort{std::move(device), std::move(warnings)};
}

}  // namespace faultline
