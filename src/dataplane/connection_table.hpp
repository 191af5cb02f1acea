// Who opened what: the two directions of a flow joined, so that a packet is a request or a reply,
// and numbers that a second run with other ephemeral ports gives again.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/bucket_table.hpp"
#include "dataplane/tcp_track.hpp"
#include "match/rule_match.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {

struct ConnectionCounters {
  std::uint64_t opened = 0;
  std::uint64_t guessed = 0;    ///< TCP met in its middle: the lower port was taken for the server
  std::uint64_t lost = 0;       ///< connections, or counts of them, forgotten to make room
  std::uint64_t forgotten = 0;  ///< counts of retransmissions not acknowledged yet, likewise
};

/// A packet's place in its connection.
struct ConnectionPlace {
  Role role = Role::kAny;      ///< kAny: no connection was looked for
  std::uint32_t ordinal = 0;   ///< of the connection, among its client's to the service, from 1
  std::uint64_t identity = 0;  ///< of client, server, service port, which of theirs, and direction
  std::uint64_t number = 0;    ///< among the connection's packets in this direction, from 1
};

/// Where a connection stood when its flow's last packet was noted. It may be gone.
struct ConnectionHint {
  std::uint32_t place_plus_one = 0;
};

/// What a connection is told by.
struct ConnectionPacket {
  const FrameFields& fields;
  std::span<const std::uint8_t> bytes;  ///< of the frame, from its beginning
  PathId pair = 0;                      ///< of paths: the same in both directions
  std::uint64_t now_ns = 0;
};

class ConnectionTable {
 public:
  /// Room for at least `connections_max`. Of what is not TCP, a pause of `idle_ns` ends a
  /// connection. Memory is taken when first used.
  ConnectionTable(std::uint64_t connections_max, std::uint64_t idle_ns);

  /// Counts a parsed packet in. With `tcp` it also follows the sequence numbers of TCP and tells
  /// the segment's place. `hint`, if there is one, is looked at first, and kept up.
  ConnectionPlace note(const ConnectionPacket& packet, TcpPlace* tcp = nullptr,
                       ConnectionHint* hint = nullptr) noexcept;

  /// Begins anew: packets went by that nobody counted.
  void forget() noexcept { ++epoch_; }
  /// The like, with its counts.
  void begin_run() noexcept {
    forget();
    counters_ = {};
  }
  /// Sequence numbers of this pair of paths begin anew: segments went by that nobody followed.
  void forget_tracks(PathId pair) noexcept { ++track_epochs_[pair]; }

  const ConnectionCounters& counters() const noexcept { return counters_; }

 private:
  struct Connection {
    FlowKey key;  ///< as the client's packets have it
    std::uint32_t epoch = 0;
    std::uint64_t identity = 0;
    std::uint64_t packets[2]{};  ///< the client's, the server's
    std::uint64_t last_seen_ns = 0;
    std::uint64_t opened_ns = 0;         ///< when the last SYN without ACK came
    std::uint32_t initial_sequence = 0;  ///< the client's, where it was seen
    PathId pair = 0;
    bool knows_sequence = false;
    bool opening = false;           ///< nothing but SYNs without ACK so far
    std::uint32_t ordinal = 0;      ///< among the client's connections to the service, from 1
    std::uint32_t track_epoch = 0;  ///< of `tracks`; they are touched only where they are asked for
    TcpTrack tracks[2];             ///< the client's, the server's
  };
  /// How many connections a client had to a service.
  struct Service {
    std::uint64_t identity = 0;
    std::uint64_t last_seen_ns = 0;
    std::uint32_t connections = 0;
    std::uint32_t epoch = 0;
  };

  bool is_alive(const Connection& connection, std::uint64_t now_ns) const noexcept;
  bool begins_anew(const Connection& known, bool from_client,
                   const ConnectionPacket& packet) const noexcept;
  /// Whether the packet is the client's.
  bool open(Connection& connection, const ConnectionPacket& packet) noexcept;
  std::uint32_t next_of(std::uint64_t service, const ConnectionPacket& packet) noexcept;
  void place(Connection& connection, std::size_t direction, const ConnectionPacket& packet,
             TcpPlace& place) noexcept;

  std::uint64_t idle_ns_;
  std::uint32_t epoch_ = 1;
  std::array<std::uint32_t, kPathsMax> track_epochs_{};  ///< by pair
  BucketTable<Connection> connections_;
  BucketTable<Service> services_;
  ConnectionCounters counters_;
};

}  // namespace faultline
