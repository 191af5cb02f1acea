// `link: mirror`: a wire whose one end goes down takes the other down too, so that the neighbour
// there sees what it would see on a plain cable.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/wiring.hpp"
#include "policy/scenario.hpp"

namespace faultline {

class LinkMirror {
 public:
  LinkMirror(const std::vector<WireSpec>& wires, Wiring& wiring);
  /// Lets every link come up again that it took down.
  ~LinkMirror();
  LinkMirror(const LinkMirror&) = delete;
  LinkMirror& operator=(const LinkMirror&) = delete;

  /// After the links were looked at.
  void follow(std::uint64_t now_ns);

 private:
  struct Mirrored {
    std::size_t ends[2];
    std::optional<std::size_t> forced;  ///< which end was taken down: 0 or 1
    std::uint64_t settles_ns = 0;       ///< until then a link that was let go may still be down
  };

  bool is_flapping(const Mirrored& wire) const;

  Wiring& wiring_;
  std::vector<Mirrored> wires_;
};

}  // namespace faultline
