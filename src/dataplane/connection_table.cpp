// Connections by the hash that both directions of a flow share.
#include "dataplane/connection_table.hpp"

#include <utility>

namespace faultline {
namespace {

/// The flow with the ports that the frame shows, or that its first fragment did.
FlowKey shown_key(const FrameFields& fields) noexcept {
  FlowKey key = fields.key;
  key.source_port = fields.source_port;
  key.destination_port = fields.destination_port;
  return key;
}

FlowKey reversed(const FlowKey& key) noexcept {
  FlowKey reverse = key;
  std::swap(reverse.source, reverse.destination);
  std::swap(reverse.source_port, reverse.destination_port);
  return reverse;
}

bool is_tcp(const FrameFields& fields) noexcept {
  return fields.is_ip() && fields.key.protocol == kProtocolTcp;
}

/// SYN without ACK: somebody opens.
bool opens(const FrameFields& fields) noexcept {
  return shows_tcp(fields) && (fields.tcp_flags & (kSynFlag | kAckFlag)) == kSynFlag;
}

/// SYN with ACK: somebody was asked.
bool answers(const FrameFields& fields) noexcept {
  return shows_tcp(fields) && (fields.tcp_flags & (kSynFlag | kAckFlag)) == (kSynFlag | kAckFlag);
}

/// The 32-bit number at `offset` of the TCP header: 4 is the sequence, 8 the acknowledgement
/// (RFC 9293). The header was read whole.
std::uint32_t tcp_word(const ConnectionPacket& packet, std::size_t offset) noexcept {
  const std::uint8_t* bytes = packet.bytes.data() + packet.fields.l4_offset + offset;
  return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) |
         (std::uint32_t{bytes[2]} << 8) | bytes[3];
}

/// Whether the packet's sender is the one who opened.
bool sent_by_client(const FlowKey& key, const FrameFields& fields) noexcept {
  if (!is_tcp(fields) || opens(fields))
    return true;
  if (answers(fields))
    return false;
  return key.destination_port <= key.source_port;
}

std::uint64_t mixed(std::uint64_t value) noexcept {
  value *= 0x9E3779B97F4A7C15;
  return value ^ (value >> 32);
}

/// The client, the server and the service's port, as a flow without an ephemeral port.
std::uint64_t service_of(const FlowKey& client_key) noexcept {
  FlowKey key = client_key;
  key.source_port = 0;
  return flow_identity(key);
}

}  // namespace

ConnectionTable::ConnectionTable(std::uint64_t connections_max, std::uint64_t idle_ns)
    : idle_ns_(idle_ns),
      connections_(connections_max, TableMemory::kWhenUsed),
      services_(connections_max, TableMemory::kWhenUsed) {}

ConnectionPlace ConnectionTable::note(const ConnectionPacket& packet, TcpPlace* tcp) noexcept {
  const FlowKey key = shown_key(packet.fields);
  const FlowKey reverse = reversed(key);
  const std::uint64_t vlans = (std::uint64_t{key.outer_vlan} << 16) | key.inner_vlan;
  const std::uint64_t spread = mixed(flow_pair_hash(key) ^ mixed(vlans) ^ packet.wire);
  Connection* connection = connections_.find(spread, [&](const Connection& known) {
    return known.wire == packet.wire && known.epoch == epoch_ &&
           (known.key == key || known.key == reverse);
  });
  if (connection == nullptr) {
    const auto room =
        connections_.room_for(spread, [](const Connection& one, const Connection& other) {
          return one.last_seen_ns < other.last_seen_ns;
        });
    counters_.lost += room.taken && is_alive(*room.entry, packet.now_ns) ? 1U : 0U;
    connection = &connections_.take(room, spread);
    open(*connection, key, packet);
  } else if (begins_anew(*connection, packet)) {
    open(*connection, key, packet);
  }
  connection->last_seen_ns = packet.now_ns;
  connection->opening &= opens(packet.fields);
  const std::size_t direction = connection->key == key ? 0 : 1;
  if (tcp != nullptr)
    *tcp = place_of(*connection, direction, packet);
  return {.role = direction == 0 ? Role::kRequest : Role::kReply,
          .identity = mixed(connection->identity ^ direction),
          .number = ++connection->packets[direction]};
}

/// Only whole segments are followed: of a datagram in parts the first tells no length.
TcpPlace ConnectionTable::place_of(Connection& connection, std::size_t direction,
                                   const ConnectionPacket& packet) noexcept {
  TcpPlace place;
  const FrameFields& fields = packet.fields;
  if (!is_tcp(fields))
    return place;
  place.connection = connection.ordinal;
  if (!shows_tcp(fields) || fields.fragment != FragmentKind::kNone)
    return place;
  if (const std::uint32_t epoch = track_epochs_[packet.wire]; connection.track_epoch != epoch) {
    connection.tracks[0] = connection.tracks[1] = {};
    connection.track_epoch = epoch;
  }
  const SeenSegment segment{tcp_word(packet, 4), tcp_word(packet, 8), fields.payload_bytes,
                            fields.tcp_flags};
  counters_.forgotten +=
      connection.tracks[direction].follow(segment, connection.tracks[1 - direction], place) ? 1U
                                                                                            : 0U;
  return place;
}

/// Whether its next packet would still belong to it.
bool ConnectionTable::is_alive(const Connection& connection, std::uint64_t now_ns) const noexcept {
  return connection.epoch == epoch_ &&
         (connection.key.protocol == kProtocolTcp || now_ns - connection.last_seen_ns <= idle_ns_);
}

/// Whether the packet of a known pair of ends belongs to a new connection between them.
bool ConnectionTable::begins_anew(const Connection& known,
                                  const ConnectionPacket& packet) const noexcept {
  if (!is_tcp(packet.fields))
    return packet.now_ns - known.last_seen_ns > idle_ns_;
  if (!opens(packet.fields))
    return false;
  if (known.key != shown_key(packet.fields))
    return !known.opening;  // both may open at once (RFC 9293, section 3.5)
  return !known.knows_sequence || known.initial_sequence != tcp_word(packet, 4);
}

void ConnectionTable::open(Connection& connection, const FlowKey& key,
                           const ConnectionPacket& packet) noexcept {
  const FrameFields& fields = packet.fields;
  connection = {};
  connection.key = sent_by_client(key, fields) ? key : reversed(key);
  connection.epoch = epoch_;
  connection.wire = packet.wire;
  connection.opening = opens(fields);
  if (opens(fields) || answers(fields)) {
    connection.knows_sequence = true;
    connection.initial_sequence = opens(fields) ? tcp_word(packet, 4) : tcp_word(packet, 8) - 1;
  } else if (is_tcp(fields)) {
    ++counters_.guessed;
  }
  ++counters_.opened;
  const std::uint64_t service = service_of(connection.key);
  connection.ordinal = next_of(service, packet);
  connection.identity = mixed(service ^ (std::uint64_t{connection.ordinal} << 1));
}

/// Which of its connections to this service a client opens now, from 1.
std::uint32_t ConnectionTable::next_of(std::uint64_t service,
                                       const ConnectionPacket& packet) noexcept {
  const std::uint64_t identity = service ^ (std::uint64_t{packet.wire} << 56);
  const std::uint64_t spread = mixed(identity);
  Service* known = services_.find(
      spread, [&](const Service& one) { return one.identity == identity && one.epoch == epoch_; });
  if (known == nullptr) {
    const auto room = services_.room_for(spread, [](const Service& one, const Service& other) {
      return one.last_seen_ns < other.last_seen_ns;
    });
    counters_.lost += room.taken && room.entry->epoch == epoch_ ? 1 : 0;
    known = &services_.take(room, spread);
    *known = {identity, 0, 0, epoch_};
  }
  known->last_seen_ns = packet.now_ns;
  return ++known->connections;
}

}  // namespace faultline
