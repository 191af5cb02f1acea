// Reading ports: the keys of each driver, and no others.
#include "policy/port_spec.hpp"

#include <algorithm>
#include <array>

#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::uint32_t kMtuDefault = 1500;
constexpr std::uint64_t kSpeedMaxBps = 1'600'000'000'000;
constexpr std::size_t kSocketPathMax = 107;  // unix(7)

/// By Driver.
constexpr std::array<std::string_view, 10> kDrivers{"sim",   "af_packet", "af_xdp", "tap",  "pci",
                                                    "memif", "vhost",     "pcap",   "null", "ring"};

class PortReader {
 public:
  PortReader(const ConfigNode& node, PortSettings& settings, Problems& problems)
      : reader_(node, "port", problems), settings_(settings), problems_(problems) {}

  void read(PortSpec& port) {
    const auto driver = read_driver(reader_.require("driver"));
    if (const ConfigNode* value = reader_.take("mtu"))
      settings_.mtu_bytes =
          static_cast<std::uint32_t>(read_bytes(*value, {68, 9600}).value_or(kMtuDefault));
    if (const ConfigNode* value = reader_.take("speed"))
      port.speed_bps = read_rate_bps(*value, {1, kSpeedMaxBps}, problems_);
    if (driver) {
      settings_.driver = *driver;
      read_own_keys();
    }
    if (!driver || *driver == Driver::kSim)
      leave_alone();
    reader_.finish();
  }

 private:
  void complain(const Mark& mark, std::string found, std::string allowed) {
    problems_.push_back(problem_at(mark, std::move(found), std::move(allowed)));
  }

  std::optional<Driver> read_driver(const ConfigNode* node) {
    if (node == nullptr)
      return std::nullopt;
    if (node->kind == ConfigNode::Kind::kNull) {
      complain(node->mark, "an unquoted null is YAML's nothing",
               "the driver's name in quotes: driver: \"null\"");
      return std::nullopt;
    }
    const auto word = read_word(*node, {kDrivers.begin(), kDrivers.end()}, problems_);
    return word ? std::optional(static_cast<Driver>(*word)) : std::nullopt;
  }

  void read_own_keys() {
    switch (settings_.driver) {
      case Driver::kSim:
        return;
      case Driver::kAfPacket:
      case Driver::kAfXdp:
        read_interface();
        return read_queues();
      case Driver::kTap:
        read_interface();
        if (const ConfigNode* value = reader_.take("netns"))
          settings_.netns = read_netns(*value);
        return read_queues();
      case Driver::kPci:
        if (const ConfigNode* value = reader_.require("address"))
          settings_.address = read_pci_address(*value);
        return read_queues();
      case Driver::kMemif:
        read_memif();
        return read_queues();
      case Driver::kVhost:
        read_vhost();
        return read_queues();
      case Driver::kPcap:
        return read_pcap();
      case Driver::kNull:
        if (const ConfigNode* value = reader_.take("size"))
          settings_.frame_bytes = static_cast<std::uint32_t>(
              read_size_bytes(*value, {60, 9600}, problems_).value_or(64));
        if (const ConfigNode* value = reader_.take("no_rx"))
          settings_.receives = !read_bool(*value, problems_).value_or(false);
        return read_queues();
      case Driver::kRing:
        if (const ConfigNode* value = reader_.require("name"))
          settings_.path = read_name(*value, problems_).value_or("");
        return read_queues();
    }
  }

  void read_queues() {
    if (const ConfigNode* value = reader_.take("queues"))
      settings_.queues =
          static_cast<std::uint16_t>(read_count(*value, {1, kQueuesMax}, problems_).value_or(1));
  }

  void read_memif() {
    if (const ConfigNode* value = reader_.take("role"))
      settings_.server = read_word(*value, {"client", "server"}, problems_).value_or(0) == 1;
    if (const ConfigNode* value = reader_.take("id"))
      settings_.id =
          static_cast<std::uint32_t>(read_count(*value, {0, UINT32_MAX}, problems_).value_or(0));
    if (const ConfigNode* value = reader_.take("socket_abstract"))
      settings_.socket_abstract = read_bool(*value, problems_).value_or(false);
    if (const ConfigNode* value = reader_.require("socket"))
      settings_.path = read_device_path(*value, kSocketPathMax);
  }

  void read_vhost() {
    settings_.server = true;
    if (const ConfigNode* value = reader_.take("client"))
      settings_.server = !read_bool(*value, problems_).value_or(false);
    if (const ConfigNode* value = reader_.require("path"))
      settings_.path = read_device_path(*value, kSocketPathMax);
  }

  void read_pcap() {
    if (const ConfigNode* value = reader_.take("rx"))
      settings_.rx_file = read_device_path(*value, 4'095);
    if (const ConfigNode* value = reader_.take("tx"))
      settings_.tx_file = read_device_path(*value, 4'095);
    if (!reader_.has("rx") && !reader_.has("tx"))
      reader_.require("rx");
  }

  /// A simulated port, or a driver nobody knows: its keys are not judged further.
  void leave_alone() {
    for (const std::string_view key :
         {"interface", "size", "no_rx", "name", "queues", "netns", "address", "role", "id",
          "socket", "socket_abstract", "path", "client", "rx", "tx"})
      reader_.take(key);
  }

  std::optional<std::uint64_t> read_bytes(const ConfigNode& node, Bounds bounds) {
    if (node.is_scalar() && parse_count(node.text))
      return read_count(node, bounds, problems_);
    return read_size_bytes(node, bounds, problems_);
  }

  /// Names the kernel would take (dev_valid_name): up to 15 bytes, no '/', ':' or blanks.
  void read_interface() {
    const ConfigNode* node = reader_.require("interface");
    if (node == nullptr)
      return;
    settings_.interface = read_text(*node, problems_).value_or("");
    const std::string& text = settings_.interface;
    const bool valid = text.size() <= 15 && text != "." && text != ".." &&
                       text.find_first_of("/: \t\n,%") == std::string::npos;
    if (!valid)
      complain(node->mark, describe(*node) + " cannot be an interface's name",
               "1 to 15 characters without '/', ':', ',', '%' and blanks");
  }

  std::string read_netns(const ConfigNode& node) {
    const std::string text = read_text(node, problems_).value_or("");
    if (text.find('/') != std::string::npos || text == "." || text == "..")
      complain(node.mark, describe(node) + " cannot be a network namespace's name",
               "a name that `ip netns` lists");
    return text;
  }

  /// DPDK takes arguments apart at commas, so a comma cannot be part of a path.
  std::string read_device_path(const ConfigNode& node, std::size_t bytes_max) {
    const std::string text = read_text(node, problems_).value_or("");
    if (text.size() > bytes_max || text.find_first_of(",\n[]") != std::string::npos)
      complain(node.mark, describe(node) + " cannot be a device's path",
               "1 to " + std::to_string(bytes_max) + " characters without ',', '[' and ']'");
    return text;
  }

  /// DOMAIN:BUS:DEVICE.FUNCTION in hexadecimal digits; the domain may be left out.
  std::string read_pci_address(const ConfigNode& node) {
    std::string text = read_text(node, problems_).value_or("");
    if (std::count(text.begin(), text.end(), ':') == 1)
      text.insert(0, "0000:");
    constexpr std::string_view kForm = "xxxx:xx:xx.x";
    bool valid = text.size() == kForm.size();
    for (std::size_t i = 0; valid && i < kForm.size(); ++i)
      valid = kForm[i] == 'x' ? std::string_view("0123456789abcdefABCDEF").find(text[i]) !=
                                    std::string_view::npos
                              : text[i] == kForm[i];
    if (!valid)
      complain(node.mark, describe(node) + " is no PCI address", "for example \"0000:03:00.0\"");
    return text;
  }

  MappingReader reader_;
  PortSettings& settings_;
  Problems& problems_;
};

}  // namespace

std::string_view driver_name(Driver driver) {
  return kDrivers[static_cast<std::size_t>(driver)];
}

bool can_take_link_down(Driver driver) {
  return driver == Driver::kAfPacket || driver == Driver::kTap || driver == Driver::kPci ||
         driver == Driver::kSim;
}

PortSpec read_port(const ConfigEntry& entry, Problems& problems) {
  ConfigNode name;
  name.kind = ConfigNode::Kind::kScalar;
  name.text = entry.key;
  name.mark = entry.key_mark;
  PortSpec port;
  port.name = read_name(name, problems).value_or(entry.key);
  port.mark = entry.key_mark;
  PortReader(entry.value, port.settings, problems).read(port);
  return port;
}

}  // namespace faultline
