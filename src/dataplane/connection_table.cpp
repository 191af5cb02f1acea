// Connections by the hash that both directions of a flow share.
#include "dataplane/connection_table.hpp"

#include <bit>
#include <cstddef>
#include <cstring>
#include <utility>

#include "base/int128.hpp"

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

/// A key as five words and its tags. In the last word the ports stand lowest.
struct KeyWords {
  std::uint64_t source[2];
  std::uint64_t destination[2];
  std::uint64_t rest;
  std::uint32_t tags;
};
static_assert(offsetof(FlowKey, source_port) == 32 && offsetof(FlowKey, outer_vlan) == 40);

// Word by word: what is copied whole would be read again before it is there.
KeyWords words_of(const FlowKey& key) noexcept {
  static_assert(std::endian::native == std::endian::little);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&key);
  const auto word = [bytes](std::size_t at) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes + at, sizeof value);
    return value;
  };
  std::uint32_t tags = 0;
  std::memcpy(&tags, &key.outer_vlan, sizeof tags);
  return {{word(0), word(8)}, {word(16), word(24)}, word(32), tags};
}

/// Of shown_key(fields).
KeyWords words_of(const FrameFields& fields) noexcept {
  constexpr std::uint64_t kPorts = 0xFFFF'FFFF;
  KeyWords words = words_of(fields.key);
  words.rest =
      (words.rest & ~kPorts) | fields.source_port | std::uint64_t{fields.destination_port} << 16;
  return words;
}

std::uint64_t with_ports_swapped(std::uint64_t rest) noexcept {
  return (rest & ~std::uint64_t{0xFFFF'FFFF}) | std::rotl(static_cast<std::uint32_t>(rest), 16);
}

bool is_from_source(const KeyWords& known, const KeyWords& packet) noexcept {
  return ((known.source[0] ^ packet.source[0]) | (known.source[1] ^ packet.source[1]) |
          (known.destination[0] ^ packet.destination[0]) |
          (known.destination[1] ^ packet.destination[1]) | (known.rest ^ packet.rest) |
          (known.tags ^ packet.tags)) == 0;
}

bool is_from_destination(const KeyWords& known, const KeyWords& packet) noexcept {
  return ((known.source[0] ^ packet.destination[0]) | (known.source[1] ^ packet.destination[1]) |
          (known.destination[0] ^ packet.source[0]) | (known.destination[1] ^ packet.source[1]) |
          (known.rest ^ with_ports_swapped(packet.rest)) | (known.tags ^ packet.tags)) == 0;
}

// As in flow_key.cpp: odd constants with balanced bits, and the folded product that mixes.
constexpr std::uint64_t kMix0 = 0x6A09E667F3BCC909;
constexpr std::uint64_t kMix1 = 0xBB67AE8584CAA73B;
constexpr std::uint64_t kMix2 = 0x3C6EF372FE94F82B;

std::uint64_t fold(std::uint64_t left, std::uint64_t right) noexcept {
  const Uint128 product = static_cast<Uint128>(left) * right;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t end_of(const std::uint64_t (&address)[2], std::uint64_t port) noexcept {
  return fold(address[0] ^ kMix0, address[1] ^ kMix1 ^ port << 48);
}

/// The same in both directions. Where in the table a connection stands, and nothing else.
std::uint64_t spread_of(const KeyWords& key, PathId pair) noexcept {
  const std::uint64_t ends =
      end_of(key.source, key.rest & 0xFFFF) + end_of(key.destination, key.rest >> 16 & 0xFFFF);
  const std::uint64_t rest = key.rest >> 32 | std::uint64_t{key.tags} << 32;
  return fold(ends ^ kMix1, rest ^ kMix2 ^ std::rotl(std::uint64_t{pair}, 56));
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

ConnectionPlace ConnectionTable::note(const ConnectionPacket& packet, TcpPlace* tcp,
                                      ConnectionHint* hint) noexcept {
  const KeyWords words = words_of(packet.fields);
  bool from_client = true;
  const auto is_it = [&](const Connection& known) {
    if (known.pair != packet.pair || known.epoch != epoch_)
      return false;
    const KeyWords known_words = words_of(known.key);
    from_client = is_from_source(known_words, words);
    return from_client || is_from_destination(known_words, words);
  };
  bool opened = false;
  Connection* connection = nullptr;
  if (hint != nullptr && hint->place_plus_one != 0) {
    connection = &connections_.at(hint->place_plus_one - 1);
    if (!is_it(*connection)) [[unlikely]]
      connection = nullptr;
  }
  if (connection == nullptr) {
    const std::uint64_t spread = spread_of(words, packet.pair);
    connection = connections_.find(spread, is_it);
    if (connection == nullptr) {
      const auto room =
          connections_.room_for(spread, [](const Connection& one, const Connection& other) {
            return one.last_seen_ns < other.last_seen_ns;
          });
      counters_.lost += room.taken && is_alive(*room.entry, packet.now_ns) ? 1U : 0U;
      connection = &connections_.take(room, spread);
      from_client = open(*connection, packet);
      opened = true;
    }
    if (const std::uint64_t place = connections_.place_of(*connection);
        hint != nullptr && place < UINT32_MAX)
      hint->place_plus_one = static_cast<std::uint32_t>(place + 1);
  }
  if (!opened && begins_anew(*connection, from_client, packet))
    from_client = open(*connection, packet);
  connection->last_seen_ns = packet.now_ns;
  connection->opening &= opens(packet.fields);
  if (opens(packet.fields))
    connection->opened_ns = packet.now_ns;
  const std::size_t direction = from_client ? 0 : 1;
  if (tcp != nullptr)
    place(*connection, direction, packet, *tcp);
  return {.role = from_client ? Role::kRequest : Role::kReply,
          .ordinal = connection->ordinal,
          .identity = mixed(connection->identity ^ direction),
          .number = ++connection->packets[direction]};
}

/// Only whole segments are followed: of a datagram in parts the first tells no length.
void ConnectionTable::place(Connection& connection, std::size_t direction,
                            const ConnectionPacket& packet, TcpPlace& place) noexcept {
  place = {};
  const FrameFields& fields = packet.fields;
  if (!is_tcp(fields))
    return;
  place.connection = connection.ordinal;
  place.opened_ns = connection.opened_ns;
  if (!shows_tcp(fields) || fields.fragment != FragmentKind::kNone)
    return;
  if (const std::uint32_t epoch = track_epochs_[packet.pair]; connection.track_epoch != epoch) {
    connection.tracks[0] = connection.tracks[1] = {};
    connection.track_epoch = epoch;
  }
  const SeenSegment segment{tcp_word(packet, 4), tcp_word(packet, 8), fields.payload_bytes,
                            fields.tcp_flags};
  TcpTrack& track = connection.tracks[direction];
  counters_.forgotten += track.follow(segment, connection.tracks[1 - direction], place) ? 1U : 0U;
}

/// Whether its next packet would still belong to it.
bool ConnectionTable::is_alive(const Connection& connection, std::uint64_t now_ns) const noexcept {
  return connection.epoch == epoch_ &&
         (connection.key.protocol == kProtocolTcp || now_ns - connection.last_seen_ns <= idle_ns_);
}

/// Whether the packet of a known pair of ends belongs to a new connection between them.
bool ConnectionTable::begins_anew(const Connection& known, bool from_client,
                                  const ConnectionPacket& packet) const noexcept {
  if (!is_tcp(packet.fields))
    return packet.now_ns - known.last_seen_ns > idle_ns_;
  if (!opens(packet.fields))
    return false;
  if (!from_client)
    return !known.opening;  // both may open at once (RFC 9293, section 3.5)
  return !known.knows_sequence || known.initial_sequence != tcp_word(packet, 4);
}

bool ConnectionTable::open(Connection& connection, const ConnectionPacket& packet) noexcept {
  const FrameFields& fields = packet.fields;
  const FlowKey key = shown_key(fields);
  const bool from_client = sent_by_client(key, fields);
  connection = {};
  connection.key = from_client ? key : reversed(key);
  connection.epoch = epoch_;
  connection.pair = packet.pair;
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
  return from_client || key == reversed(key);
}

/// Which of its connections to this service a client opens now, from 1.
std::uint32_t ConnectionTable::next_of(std::uint64_t service,
                                       const ConnectionPacket& packet) noexcept {
  const std::uint64_t identity = service ^ (std::rotl(std::uint64_t{packet.pair}, 56));
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
