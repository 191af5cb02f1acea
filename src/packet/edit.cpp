// Edits of header fields.
#include "packet/edit.hpp"

namespace faultline {

void mark_congestion(std::uint8_t* header) noexcept {
  if ((header[0] >> 4) == 6) {
    header[1] = static_cast<std::uint8_t>(header[1] | 0x30);
    return;
  }
  // HC' = ~(~HC + ~m + m'), in ones' complement, for the word that holds the field.
  const unsigned before = (unsigned{header[0]} << 8) | header[1];
  header[1] = static_cast<std::uint8_t>(header[1] | 0x03);
  const unsigned after = (unsigned{header[0]} << 8) | header[1];
  const unsigned checksum = (unsigned{header[10]} << 8) | header[11];
  unsigned sum = (~checksum & 0xFFFF) + (~before & 0xFFFF) + after;
  sum = (sum & 0xFFFF) + (sum >> 16);
  sum = (sum & 0xFFFF) + (sum >> 16);
  header[10] = static_cast<std::uint8_t>(~sum >> 8);
  header[11] = static_cast<std::uint8_t>(~sum);
}

}  // namespace faultline
