// The two capture formats, decoded from one buffered file descriptor. "pcap" cites
// draft-ietf-opsawg-pcap, "pcapng" draft-ietf-opsawg-pcapng. No bytes are trusted: a length is
// compared with what is there before it is used.
#include "record/capture_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/int128.hpp"
#include "record/link_type.hpp"

namespace faultline {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

constexpr std::uint32_t kPcapMagicMicro = 0xa1b2c3d4;
constexpr std::uint32_t kPcapMagicNano = 0xa1b23c4d;
/// Microseconds, and 8 bytes more a record: interface, protocol, packet type (libpcap's
/// "modified").
constexpr std::uint32_t kPcapMagicModified = 0xa1b2cd34;
constexpr std::size_t kPcapHeaderBytes = 24;
constexpr std::size_t kPcapRecordBytes = 16;
constexpr std::size_t kPcapModifiedBytes = 8;

constexpr bool is_pcap(std::uint32_t magic) {
  return magic == kPcapMagicMicro || magic == kPcapMagicNano || magic == kPcapMagicModified;
}

constexpr std::size_t kBlockBytesMin = 12;

constexpr std::string_view kFormatsAllowed = "a pcap or pcapng capture is needed";

enum class ByteOrder { kLittle, kBig };

/// The unsigned integer of `bytes`, which must hold it at `at`.
template <typename T>
T load(Bytes bytes, std::size_t at, ByteOrder order) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    const std::size_t place = order == ByteOrder::kLittle ? i : sizeof(T) - 1 - i;
    value = static_cast<T>(value | static_cast<T>(static_cast<T>(bytes[at + i]) << (8 * place)));
  }
  return value;
}

tl::unexpected<Problems> unusable(std::string_view path, std::string message,
                                  std::string_view allowed = {}) {
  return tl::unexpected(
      Problems{problem_at(Mark{path, 0, 0}, std::move(message), std::string(allowed))});
}

/// How the ticks of an interface become nanoseconds since 1970: ticks * multiplier / 2^shift /
/// divisor + offset, rounded down. pcapng's default is microseconds.
struct TimeScale {
  std::uint64_t multiplier = 1'000;
  std::uint64_t divisor = 1;
  unsigned shift = 0;
  std::int64_t offset_seconds = 0;

  /// Nothing if the time lies before 1970 or beyond 64 bits of nanoseconds (the year 2554).
  std::optional<std::uint64_t> to_ns(std::uint64_t ticks) const {
    Int128 time_ns = (static_cast<Int128>(ticks) * static_cast<Int128>(multiplier)) >> shift;
    if (divisor != 1)
      time_ns /= static_cast<Int128>(divisor);
    time_ns += static_cast<Int128>(offset_seconds) * 1'000'000'000;
    if (time_ns < 0 || time_ns > static_cast<Int128>(std::numeric_limits<std::uint64_t>::max()))
      return std::nullopt;
    return static_cast<std::uint64_t>(time_ns);
  }

  /// `resolution` as if_tsresol has it (pcapng 4.2): a power of 2 if its top bit is set, else of
  /// 10. False where a tick is finer than any clock and 128 bits no longer suffice.
  bool set_resolution(std::uint8_t resolution) {
    const unsigned power = resolution & 0x7fU;
    const bool binary = (resolution & 0x80U) != 0;
    if (power > (binary ? 63U : 19U))
      return false;
    shift = binary ? power : 0;
    multiplier = power_of_ten(binary ? 9 : 9 - std::min(power, 9U));
    divisor = power_of_ten(binary ? 0 : std::max(power, 9U) - 9);
    return true;
  }

 private:
  static std::uint64_t power_of_ten(unsigned exponent) {
    return exponent == 0 ? 1 : 10 * power_of_ten(exponent - 1);
  }
};

/// A file descriptor read through one buffer that grows to the longest piece asked for.
class ByteStream {
 public:
  explicit ByteStream(int descriptor) : descriptor_(descriptor) {}
  ~ByteStream() {
    if (descriptor_ != STDIN_FILENO)
      ::close(descriptor_);
  }
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  /// What comes next, at least `wanted` bytes; fewer only at the end or after a read error.
  Bytes peek(std::size_t wanted) {
    if (end_ - begin_ < wanted) [[unlikely]]
      refill(wanted);
    return {buffer_.get() + begin_, end_ - begin_};
  }
  void skip(std::size_t size_bytes) {
    begin_ += size_bytes;
    offset_ += size_bytes;
  }
  /// The place in the file of what peek() returns.
  std::uint64_t offset() const { return offset_; }
  /// errno of the read that failed, or 0.
  int read_error() const { return read_error_; }

 private:
  void refill(std::size_t wanted) {
    const std::size_t left = end_ - begin_;
    if (wanted > capacity_) {
      const std::size_t capacity = std::max(wanted, kBufferBytes);
      auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
      if (left > 0)
        std::memcpy(larger.get(), buffer_.get() + begin_, left);
      buffer_ = std::move(larger);
      capacity_ = capacity;
    } else if (left > 0) {
      std::memmove(buffer_.get(), buffer_.get() + begin_, left);
    }
    begin_ = 0;
    end_ = left;
    while (end_ < wanted && !at_end_) {
      const ssize_t got = ::read(descriptor_, buffer_.get() + end_, capacity_ - end_);
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        read_error_ = errno;
      at_end_ = got <= 0;
      end_ += got > 0 ? static_cast<std::size_t>(got) : 0;
    }
  }

  int descriptor_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t offset_ = 0;
  int read_error_ = 0;
  bool at_end_ = false;
};

}  // namespace

class CaptureReader::Decoder {
 public:
  Decoder(std::string path, int descriptor) : path_(std::move(path)), stream_(descriptor) {}

  Result<void> begin();
  Result<bool> next(CapturedPacket& packet);
  std::uint64_t offset_bytes() const { return stream_.offset(); }

  std::vector<CaptureInterface> interfaces_;
  std::uint64_t packets_read_ = 0;

 private:
  enum class Step { kEnd, kPacket, kOther };
  /// A packet as its block states it, before it is believed.
  struct Stated {
    std::uint32_t interface = 0;  ///< within its section
    std::optional<std::uint64_t> ticks;
    std::uint32_t captured_bytes = 0;
    std::uint32_t original_bytes = 0;
    Bytes data;  ///< all that is left of the block's body
  };

  Result<void> begin_pcap(std::uint32_t magic);
  Result<Step> next_pcap_record(CapturedPacket& packet);
  Result<Step> next_block(CapturedPacket& packet);
  Result<Step> read_section(Bytes body);
  Result<Step> read_interface(Bytes body);
  Result<void> read_interface_option(std::uint16_t code, Bytes value, CaptureInterface& described,
                                     TimeScale& scale) const;
  Result<Step> read_packet(std::uint32_t type, Bytes body, CapturedPacket& packet);
  Result<Step> deliver(const Stated& stated, CapturedPacket& packet);

  Result<Step> end_or_cut(Bytes left) const;
  tl::unexpected<Problems> fail(std::string message, std::string_view allowed = {}) const {
    return unusable(path_, std::move(message), allowed);
  }
  tl::unexpected<Problems> fail_packet(std::string_view what, std::string_view allowed = {}) const {
    return fail(fmt::format("packet {} at byte {}: {}", packets_read_ + 1, record_offset_, what),
                allowed);
  }
  tl::unexpected<Problems> fail_block(std::string_view what, std::string_view allowed = {}) const {
    return fail(fmt::format("block at byte {}: {}", record_offset_, what), allowed);
  }
  std::uint32_t load32(Bytes bytes, std::size_t at) const {
    return load<std::uint32_t>(bytes, at, order_);
  }
  std::uint16_t load16(Bytes bytes, std::size_t at) const {
    return load<std::uint16_t>(bytes, at, order_);
  }

  std::string path_;
  ByteStream stream_;
  ByteOrder order_ = ByteOrder::kLittle;
  bool pcapng_ = false;
  std::size_t pcap_record_bytes_ = kPcapRecordBytes;  ///< a record's header
  std::uint64_t record_offset_ = 0;    ///< where the record or block being read starts
  std::vector<TimeScale> scales_;      ///< one an interface
  std::size_t section_interface_ = 0;  ///< index of the section's interface 0
  std::uint64_t last_time_ns_ = 0;
  Problems failed_;
};

Result<void> CaptureReader::Decoder::begin() {
  const Bytes start = stream_.peek(sizeof(std::uint32_t));
  if (stream_.read_error() != 0)
    return fail(fmt::format("cannot be read: {}", std::strerror(stream_.read_error())));
  if (start.empty())
    return fail("is empty", kFormatsAllowed);
  if (start.size() < sizeof(std::uint32_t))
    return fail(fmt::format("is not a capture, it holds {} bytes", start.size()), kFormatsAllowed);

  const auto little = load<std::uint32_t>(start, 0, ByteOrder::kLittle);
  const auto big = load<std::uint32_t>(start, 0, ByteOrder::kBig);
  if (little == pcapng::kSectionHeader) {
    pcapng_ = true;
    CapturedPacket none;
    const auto step = next_block(none);
    return step ? Result<void>{} : tl::unexpected(step.error());
  }
  if (is_pcap(little))
    return begin_pcap(little);
  if (is_pcap(big)) {
    order_ = ByteOrder::kBig;
    return begin_pcap(big);
  }
  constexpr std::uint32_t kGzip = 0x1f8b0000;
  constexpr std::uint32_t kZstd = 0x28b52ffd;
  if ((big & 0xffff0000U) == kGzip || big == kZstd)
    return fail("is compressed", "decompress it first, or pipe it in as '-'");
  return fail(fmt::format("is not a capture, it begins with {:08x}", big), kFormatsAllowed);
}

Result<void> CaptureReader::Decoder::begin_pcap(std::uint32_t magic) {
  const Bytes header = stream_.peek(kPcapHeaderBytes);
  if (header.size() < kPcapHeaderBytes)
    return tl::unexpected(end_or_cut(header).error());
  const unsigned major = load16(header, 4);
  const unsigned minor = load16(header, 6);
  if (major != 2 || minor != 4)
    return fail(fmt::format("pcap version {}.{} is not known", major, minor), "2.4 is");
  // pcap 4: the upper half of the field tells the length of a frame check sequence, if any.
  const std::uint32_t link_type = load32(header, 20) & 0xffffU;
  if (link_type != kLinkTypeEthernet)
    return fail(fmt::format("link type {} is not Ethernet", link_type_text(link_type)));
  interfaces_.push_back({link_type, {}, load32(header, 16)});
  scales_.emplace_back().multiplier = magic == kPcapMagicNano ? 1 : 1'000;
  pcap_record_bytes_ += magic == kPcapMagicModified ? kPcapModifiedBytes : 0;
  stream_.skip(kPcapHeaderBytes);
  return {};
}

Result<bool> CaptureReader::Decoder::next(CapturedPacket& packet) {
  if (!failed_.empty())
    return tl::unexpected(failed_);
  for (;;) {
    auto step = pcapng_ ? next_block(packet) : next_pcap_record(packet);
    if (!step) {
      failed_ = step.error();
      return tl::unexpected(std::move(step.error()));
    }
    if (*step != Step::kOther)
      return *step == Step::kPacket;
  }
}

auto CaptureReader::Decoder::next_pcap_record(CapturedPacket& packet) -> Result<Step> {
  record_offset_ = stream_.offset();
  const Bytes header = stream_.peek(pcap_record_bytes_);
  if (header.size() < pcap_record_bytes_)
    return end_or_cut(header);
  const std::size_t captured_bytes = load32(header, 8);
  if (captured_bytes > kCapturedBytesMax)
    return fail_packet(fmt::format("captured length of {} bytes", captured_bytes),
                       fmt::format("at most {}", kCapturedBytesMax));
  const std::size_t record_bytes = pcap_record_bytes_ + captured_bytes;
  const Bytes record = stream_.peek(record_bytes);
  if (record.size() < record_bytes)
    return end_or_cut(record);

  // 32 bits of seconds and 32 of micro- or nanoseconds cannot overflow, in range or not.
  packet.time_ns = load32(record, 0) * std::uint64_t{1'000'000'000} +
                   load32(record, 4) * scales_.front().multiplier;
  packet.interface = 0;
  packet.original_length_bytes =
      std::max(load32(record, 12), static_cast<std::uint32_t>(captured_bytes));
  packet.bytes = record.subspan(pcap_record_bytes_, captured_bytes);
  stream_.skip(record_bytes);
  ++packets_read_;
  return Step::kPacket;
}

/// One whole block of pcapng (3.1): type, length, body, length again.
auto CaptureReader::Decoder::next_block(CapturedPacket& packet) -> Result<Step> {
  record_offset_ = stream_.offset();
  const Bytes head = stream_.peek(kBlockBytesMin);
  if (head.size() < kBlockBytesMin)
    return end_or_cut(head);
  if (load32(head, 0) == pcapng::kSectionHeader) {
    if (load<std::uint32_t>(head, 8, ByteOrder::kLittle) == pcapng::kByteOrderMagic)
      order_ = ByteOrder::kLittle;
    else if (load<std::uint32_t>(head, 8, ByteOrder::kBig) == pcapng::kByteOrderMagic)
      order_ = ByteOrder::kBig;
    else
      return fail_block("section header without the byte-order magic 1a2b3c4d");
  }
  const std::uint32_t type = load32(head, 0);
  const std::size_t block_bytes = load32(head, 4);
  if (block_bytes < kBlockBytesMin || block_bytes > kCaptureBlockBytesMax || block_bytes % 4 != 0)
    return fail_block(fmt::format("length of {} bytes", block_bytes),
                      fmt::format("12 to {}, a multiple of 4", kCaptureBlockBytesMax));
  Bytes block = stream_.peek(block_bytes);
  if (block.size() < block_bytes)
    return end_or_cut(block);
  block = block.first(block_bytes);
  const std::uint32_t end_length = load32(block, block_bytes - 4);
  if (end_length != block_bytes)
    return fail_block(fmt::format("lengths differ: {} and {} bytes", block_bytes, end_length));
  stream_.skip(block_bytes);

  const Bytes body = block.subspan(8, block_bytes - kBlockBytesMin);
  if (body.size() < pcapng::fixed_bytes(type))
    return fail_block(
        fmt::format("length of {} bytes", block_bytes),
        fmt::format("type {} needs {}", type, kBlockBytesMin + pcapng::fixed_bytes(type)));
  if (pcapng::is_packet(type))
    return read_packet(type, body, packet);
  if (type == pcapng::kInterfaceDescription)
    return read_interface(body);
  return type == pcapng::kSectionHeader ? read_section(body) : Step::kOther;
}

auto CaptureReader::Decoder::read_section(Bytes body) -> Result<Step> {
  const unsigned major = load16(body, 4);
  const unsigned minor = load16(body, 6);
  // pcapng 4.1: 1.2 must be read as 1.0.
  if (major != 1 || (minor != 0 && minor != 2))
    return fail_block(fmt::format("pcapng version {}.{} is not known", major, minor), "1.0 is");
  section_interface_ = interfaces_.size();
  return Step::kOther;
}

auto CaptureReader::Decoder::read_interface(Bytes body) -> Result<Step> {
  if (interfaces_.size() == kCaptureInterfacesMax)
    return fail_block("one interface too many", fmt::format("at most {}", kCaptureInterfacesMax));
  CaptureInterface described{load16(body, 0), {}, load32(body, 4)};
  TimeScale scale;
  Bytes options = body.subspan(pcapng::fixed_bytes(pcapng::kInterfaceDescription));
  while (options.size() >= 4) {
    const std::uint16_t code = load16(options, 0);
    const std::size_t value_bytes = load16(options, 2);
    const std::size_t padded_bytes = (value_bytes + 3) / 4 * 4;
    if (code == pcapng::kOptionEnd)
      break;
    if (padded_bytes > options.size() - 4)
      return fail_block(fmt::format("option {} of an interface runs past its block", code));
    auto read = read_interface_option(code, options.subspan(4, value_bytes), described, scale);
    if (!read)
      return tl::unexpected(std::move(read.error()));
    options = options.subspan(4 + padded_bytes);
  }
  interfaces_.push_back(std::move(described));
  scales_.push_back(scale);
  return Step::kOther;
}

Result<void> CaptureReader::Decoder::read_interface_option(std::uint16_t code, Bytes value,
                                                           CaptureInterface& described,
                                                           TimeScale& scale) const {
  if (code == pcapng::kOptionInterfaceName) {
    // pcapng 3.5: strings need no zero at their end, but some writers put one.
    const auto end = std::find(value.begin(), value.end(), std::byte{0});
    const auto name_bytes = static_cast<std::size_t>(end - value.begin());
    if (name_bytes > kInterfaceNameBytesMax)
      return fail_block(fmt::format("interface name of {} bytes", name_bytes),
                        fmt::format("at most {}", kInterfaceNameBytesMax));
    described.name.assign(reinterpret_cast<const char*>(value.data()), name_bytes);
  } else if (code == pcapng::kOptionTimeResolution) {
    if (value.size() != 1)
      return fail_block(fmt::format("if_tsresol of {} bytes", value.size()), "1");
    if (!scale.set_resolution(load<std::uint8_t>(value, 0, order_)))
      return fail_block(fmt::format("if_tsresol 0x{:02x}", static_cast<unsigned>(value[0])),
                        "at most 19 for powers of 10, 63 for powers of 2");
  } else if (code == pcapng::kOptionTimeOffset) {
    if (value.size() != sizeof(std::int64_t))
      return fail_block(fmt::format("if_tsoffset of {} bytes", value.size()), "8");
    scale.offset_seconds = static_cast<std::int64_t>(load<std::uint64_t>(value, 0, order_));
  }
  return {};
}

auto CaptureReader::Decoder::read_packet(std::uint32_t type, Bytes body, CapturedPacket& packet)
    -> Result<Step> {
  Stated stated;
  stated.data = body.subspan(pcapng::fixed_bytes(type));
  if (type == pcapng::kSimplePacket) {
    stated.original_bytes = load32(body, 0);
    stated.captured_bytes = stated.original_bytes;
    // pcapng 4.4: the captured length is not written; the snap length of interface 0 tells it.
    if (section_interface_ < interfaces_.size()) {
      const std::uint32_t snap_length = interfaces_[section_interface_].snap_length;
      if (snap_length != 0)
        stated.captured_bytes = std::min(stated.original_bytes, snap_length);
    }
  } else {
    // The obsolete block (pcapng A) differs in one thing: 16 bits of drops after 16 of interface.
    stated.interface = type == pcapng::kObsoletePacket ? load16(body, 0) : load32(body, 0);
    stated.ticks = std::uint64_t{load32(body, 4)} << 32 | load32(body, 8);
    stated.captured_bytes = load32(body, 12);
    stated.original_bytes = load32(body, 16);
  }
  return deliver(stated, packet);
}

auto CaptureReader::Decoder::deliver(const Stated& stated, CapturedPacket& packet) -> Result<Step> {
  const std::size_t section_interfaces = interfaces_.size() - section_interface_;
  if (stated.interface >= section_interfaces)
    return fail_packet(fmt::format("interface {} is not described", stated.interface),
                       fmt::format("its section has {}", section_interfaces));
  const std::size_t interface = section_interface_ + stated.interface;
  const std::uint32_t link_type = interfaces_[interface].link_type;
  if (link_type != kLinkTypeEthernet)
    return fail(fmt::format("link type {} is not Ethernet (packet {} at byte {}, interface {})",
                            link_type_text(link_type), packets_read_ + 1, record_offset_,
                            stated.interface));
  const std::size_t captured_bytes_max = std::min(kCapturedBytesMax, stated.data.size());
  if (stated.captured_bytes > captured_bytes_max)
    return fail_packet(fmt::format("captured length of {} bytes", stated.captured_bytes),
                       fmt::format("at most {} in this block", captured_bytes_max));
  if (stated.ticks) {
    const auto time_ns = scales_[interface].to_ns(*stated.ticks);
    if (!time_ns)
      return fail_packet("its time does not fit", "1970 to 2554");
    last_time_ns_ = *time_ns;
  }
  packet.time_ns = last_time_ns_;
  packet.interface = static_cast<std::uint32_t>(interface);
  packet.original_length_bytes = std::max(stated.original_bytes, stated.captured_bytes);
  packet.bytes = stated.data.first(stated.captured_bytes);
  ++packets_read_;
  return Step::kPacket;
}

/// `left` stands where a whole record should: nothing is the end of the file, else it was cut.
auto CaptureReader::Decoder::end_or_cut(Bytes left) const -> Result<Step> {
  if (stream_.read_error() != 0)
    return fail(fmt::format("cannot be read after packet {}: {}", packets_read_,
                            std::strerror(stream_.read_error())));
  if (left.empty())
    return Step::kEnd;
  if (record_offset_ == 0)
    return fail("cut short in the file's header");
  if (pcapng_ && left.size() >= 4 && !pcapng::is_packet(load32(left, 0)))
    return fail(fmt::format("cut short after packet {} at byte {}", packets_read_, record_offset_));
  return fail(fmt::format("cut short in packet {} at byte {}", packets_read_ + 1, record_offset_));
}

Result<CaptureReader> CaptureReader::open(const std::string& path) {
  const int descriptor =
      path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0)
    return unusable(path, errno == ENOENT
                              ? "no such file"
                              : fmt::format("cannot be opened: {}", std::strerror(errno)));
  auto decoder = std::make_unique<Decoder>(path, descriptor);
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode))
    return unusable(path, "is a directory", kFormatsAllowed);
  auto begun = decoder->begin();
  if (!begun)
    return tl::unexpected(std::move(begun.error()));
  return CaptureReader(std::move(decoder));
}

Result<bool> CaptureReader::next(CapturedPacket& packet) {
  return decoder_->next(packet);
}

const std::vector<CaptureInterface>& CaptureReader::interfaces() const {
  return decoder_->interfaces_;
}

std::uint64_t CaptureReader::packets_read() const {
  return decoder_->packets_read_;
}

std::uint64_t CaptureReader::offset_bytes() const {
  return decoder_->offset_bytes();
}

CaptureReader::CaptureReader(std::unique_ptr<Decoder> decoder) : decoder_(std::move(decoder)) {}
CaptureReader::CaptureReader(CaptureReader&&) noexcept = default;
CaptureReader& CaptureReader::operator=(CaptureReader&&) noexcept = default;
CaptureReader::~CaptureReader() = default;

}  // namespace faultline
