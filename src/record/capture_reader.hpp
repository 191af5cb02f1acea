// Reads packets from a capture file, classic pcap or pcapng, one after the other and in memory that
// does not grow with the file. What a packet means, and which port it enters, is never decided
// here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace faultline {

/// No frame is longer: the bound that libpcap puts on Ethernet captures (MAXIMUM_SNAPLEN).
inline constexpr std::size_t kCapturedBytesMax = 262'144;
/// A pcapng block of any kind, its two lengths included.
inline constexpr std::size_t kCaptureBlockBytesMax = std::size_t{16} << 20;
inline constexpr std::size_t kCaptureInterfacesMax = 65'536;
inline constexpr std::size_t kInterfaceNameBytesMax = 255;

inline constexpr std::uint32_t kLinkTypeEthernet = 1;

/// The numbers of draft-ietf-opsawg-pcapng, for the reader and the writer.
namespace pcapng {
inline constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;  ///< a palindrome: has no byte order
inline constexpr std::uint32_t kInterfaceDescription = 1;
inline constexpr std::uint32_t kObsoletePacket = 2;
inline constexpr std::uint32_t kSimplePacket = 3;
inline constexpr std::uint32_t kEnhancedPacket = 6;
inline constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
inline constexpr std::uint16_t kOptionEnd = 0;
inline constexpr std::uint16_t kOptionComment = 1;
inline constexpr std::uint16_t kOptionInterfaceName = 2;
inline constexpr std::uint16_t kOptionApplication = 4;
inline constexpr std::uint16_t kOptionTimeResolution = 9;
inline constexpr std::uint16_t kOptionTimeOffset = 14;

constexpr bool is_packet(std::uint32_t block_type) {
  return block_type == kEnhancedPacket || block_type == kSimplePacket ||
         block_type == kObsoletePacket;
}

/// What the body of a block holds at least, before its data and options.
constexpr std::size_t fixed_bytes(std::uint32_t block_type) {
  if (block_type == kSectionHeader)
    return 16;
  if (block_type == kInterfaceDescription)
    return 8;
  if (block_type == kSimplePacket)
    return 4;
  return is_packet(block_type) ? 20 : 0;
}
}  // namespace pcapng

struct CaptureInterface {
  std::uint32_t link_type = kLinkTypeEthernet;
  std::string name;               ///< if_name of pcapng; empty where the file names none
  std::uint32_t snap_length = 0;  ///< bytes; 0 = no limit
};

struct CapturedPacket {
  std::uint64_t time_ns = 0;                ///< since 1970
  std::uint32_t interface = 0;              ///< index into the file's interfaces
  std::uint32_t original_length_bytes = 0;  ///< on the wire; never less than bytes.size()
  std::span<const std::byte> bytes;         ///< as captured, perhaps cut by a snap length
};

/// Reads both formats in both byte orders, pcap also as patched kernels of the 1990s wrote it. A
/// frame check sequence that the capture kept stays on the frame. Any error ends the reading: what
/// stood before it has been delivered, and every further next() tells the same error again.
class CaptureReader {
 public:
  /// Opens `path`, or standard input for "-", and reads the file's header. Errors: the file cannot
  /// be opened or read, is empty, is no capture, or (pcap) its link type is not Ethernet.
  static Result<CaptureReader> open(const std::string& path);

  CaptureReader(CaptureReader&&) noexcept;
  CaptureReader& operator=(CaptureReader&&) noexcept;
  ~CaptureReader();

  /// Fills `packet`, whose bytes stay valid until the next call; false at the end of the file.
  /// Times are returned as they stand and may run backwards; a simple packet block, which has none,
  /// gets that of the packet before it (0 for the first). Errors name the packet, counted from 1,
  /// and the byte of the file at which its record starts.
  Result<bool> next(CapturedPacket& packet);

  /// One for pcap. For pcapng those met so far, of all sections: complete for the last packet read.
  const std::vector<CaptureInterface>& interfaces() const;

  std::uint64_t packets_read() const;
  /// Bytes of the file behind which the last packet ends.
  std::uint64_t offset_bytes() const;

 private:
  class Decoder;
  explicit CaptureReader(std::unique_ptr<Decoder> decoder);

  std::unique_ptr<Decoder> decoder_;
};

}  // namespace faultline
