// driver: ring. A patch cable inside the daemon: two ports of one name are its ends, so that one
// wire's traffic goes on through another; one port alone gets back what it sends.
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <map>
#include <memory>

#include <fmt/format.h>

#include "drivers/driver.hpp"

namespace faultline {
namespace {

constexpr unsigned kSlots = 4'096;

struct RingFree {
  void operator()(rte_ring* ring) const noexcept { rte_ring_free(ring); }
};

/// Both directions of one queue. What is still in them at the end belongs to the pool again.
struct Cable {
  std::unique_ptr<rte_ring, RingFree> ways[2];
  bool has_second_end = false;

  ~Cable() {
    for (const auto& way : ways) {
      void* mbuf = nullptr;
      while (way != nullptr && rte_ring_sc_dequeue(way.get(), &mbuf) == 0)
        rte_pktmbuf_free(static_cast<rte_mbuf*>(mbuf));
    }
  }
};

class RingPort final : public LivePort {
 public:
  RingPort(std::shared_ptr<Cable> cable, bool second, std::uint32_t mtu_bytes)
      : LivePort(mtu_bytes), cable_(std::move(cable)), second_(second) {}

  std::uint32_t receive(rte_mbuf** mbufs, std::uint32_t count) noexcept override {
    // The first end sends into way 0; it gets that back as long as nobody is at the other end.
    const std::size_t way = !second_ && cable_->has_second_end ? 1 : 0;
    return rte_ring_sc_dequeue_burst(cable_->ways[way].get(), reinterpret_cast<void**>(mbufs),
                                     count, nullptr);
  }

  Transmitted transmit(const OutBurst& burst, std::uint32_t first) noexcept override {
    const std::size_t way = second_ ? 1 : 0;
    auto* mbufs = reinterpret_cast<void* const*>(&burst.mbufs[first]);
    return {rte_ring_sp_enqueue_burst(cable_->ways[way].get(), mbufs, burst.count - first, nullptr),
            false};
  }

 private:
  std::shared_ptr<Cable> cable_;
  bool second_;
};

class RingDevice final : public Device {
 public:
  void add(std::unique_ptr<LivePort> queue) { add_queue(std::move(queue)); }
};

std::shared_ptr<Cable> make_cable(const std::string& name) {
  auto cable = std::make_shared<Cable>();
  for (int way = 0; way < 2; ++way)
    cable->ways[way].reset(rte_ring_create(fmt::format("{}.{}", name, way).c_str(), kSlots,
                                           SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ));
  return cable->ways[0] != nullptr && cable->ways[1] != nullptr ? cable : nullptr;
}

}  // namespace

/// Called while ports are opened and no worker runs, from one thread.
Result<OpenedPort> open_ring(const PortSpec& spec, rte_mempool*) {
  static std::map<std::string, std::weak_ptr<Cable>> cables;
  auto device = std::make_unique<RingDevice>();
  for (std::uint16_t queue = 0; queue < spec.settings.queues; ++queue) {
    const std::string name = fmt::format("{}.{}", spec.settings.path, queue);
    std::shared_ptr<Cable> cable = cables[name].lock();
    const bool second = cable != nullptr;
    if (second && cable->has_second_end)
      return tl::unexpected(Problems{problem_at(
          spec.mark,
          fmt::format("port '{}': ring '{}' has two ends already", spec.name, spec.settings.path),
          "one name for two ports at most")});
    if (!second)
      cable = make_cable(name);
    if (cable == nullptr)
      return failure(
          fmt::format("port '{}': no memory for ring '{}'", spec.name, spec.settings.path));
    cable->has_second_end = second;
    cables[name] = cable;
    device->add(std::make_unique<RingPort>(std::move(cable), second, spec.settings.mtu_bytes));
  }
  return OpenedPort{std::move(device), {}};
}

}  // namespace faultline
