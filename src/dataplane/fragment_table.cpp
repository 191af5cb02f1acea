// A datagram is told by source, destination, protocol and identification (RFC 791, RFC 8200).
#include "dataplane/fragment_table.hpp"

namespace faultline {

void FragmentTable::follow(FrameFields& fields, PathId path_id, std::uint64_t now_ns) noexcept {
  if (fields.fragment == FragmentKind::kNone || !has_ports(fields.key.protocol))
    return;
  const std::uint64_t mixed = (flow_identity(fields.key) ^ fields.fragment_id) * 0x9E3779B97F4A7C15;
  const std::uint64_t spread = mixed ^ (mixed >> 32) ^ (std::uint64_t{path_id} << 40);
  Datagram* known = datagrams_.find(spread, [&](const Datagram& datagram) {
    return datagram.fragment_id == fields.fragment_id && datagram.path_id == path_id &&
           datagram.key == fields.key;
  });
  if (fields.fragment == FragmentKind::kLater) {
    if (known == nullptr || now_ns >= known->forgotten_ns) {
      ++counters_.unknown;
      return;
    }
    ++counters_.followed;
    fields.source_port = known->source_port;
    fields.destination_port = known->destination_port;
    fields.shows_ports = true;
    return;
  }
  if (!fields.shows_ports)
    return;
  if (known == nullptr) {
    const auto room = datagrams_.room_for(spread, [](const Datagram& one, const Datagram& other) {
      return one.forgotten_ns < other.forgotten_ns;
    });
    counters_.lost += room.taken && now_ns < room.entry->forgotten_ns ? 1 : 0;
    known = &datagrams_.take(room, spread);
  }
  *known = {fields.key,         fields.fragment_id,      now_ns + kKeepNs,
            fields.source_port, fields.destination_port, path_id};
}

}  // namespace faultline
