// The kernel's interfaces as ioctls tell of them. For drivers whose ports are such interfaces.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "policy/port_spec.hpp"

namespace faultline {

/// An interface, asked through a socket of its network namespace. Owns the socket.
class KernelInterface {
 public:
  /// In this process's namespace.
  explicit KernelInterface(std::string name);
  /// In the namespace that `socket` belongs to.
  KernelInterface(std::string name, int socket) : name_(std::move(name)), socket_(socket) {}
  ~KernelInterface();
  KernelInterface(const KernelInterface&) = delete;
  KernelInterface& operator=(const KernelInterface&) = delete;

  const std::string& name() const { return name_; }
  int index() const;  ///< 0: there is none
  std::optional<std::uint32_t> mtu_bytes() const;
  bool set_mtu(std::uint32_t mtu_bytes) const;
  bool is_admin_up() const;
  /// Administratively up, and with a carrier as the device sees it: not IFF_RUNNING, which the
  /// kernel sets up to a second late.
  bool is_up() const;
  bool set_admin_up(bool up) const;
  std::string mac_address() const;
  /// Whether generic receive offload (or large receive offload) merges frames on their way in.
  bool merges_frames() const;
  bool sends_pause_frames() const;
  /// "veth", "e1000e"; empty where it cannot be asked.
  std::string kernel_driver() const;

 private:
  std::string name_;
  int socket_;
};

/// A problem of a port's interface, with what to do.
tl::unexpected<Problems> refuse_interface(const PortSpec& spec, const std::string& found,
                                          std::string allowed = {});
/// The same for a system call that failed.
tl::unexpected<Problems> refuse_interface_errno(const PortSpec& spec, const char* step, int error);
/// What works but falsifies, or will not work yet.
std::vector<std::string> interface_warnings(const PortSpec& spec, const KernelInterface& interface);

}  // namespace faultline
