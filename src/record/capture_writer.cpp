// pcapng blocks encoded into one buffer in front of a file descriptor, always little-endian, so
// that two runs can be compared byte by byte. Cites draft-ietf-opsawg-pcapng. Nothing here reads a
// clock.
#include "record/capture_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <tuple>
#include <utility>

#include "base/check.hpp"

namespace faultline {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{512} << 10;
constexpr std::size_t kOptionBytesMax = 65'535;
constexpr std::size_t kOptionHeadBytes = 4;
constexpr std::size_t kPacketFixedBytes = 32;  // 28 before the data, 4 after the options
constexpr std::uint8_t kNanoseconds = 9;       // if_tsresol: 10^-9
constexpr std::string_view kApplication = "faultline";

constexpr std::size_t padded(std::size_t size_bytes) {
  return (size_bytes + 3) / 4 * 4;
}
constexpr std::size_t option_bytes(std::size_t value_bytes) {
  return kOptionHeadBytes + padded(value_bytes);
}
constexpr std::size_t block_bytes_of(std::size_t captured_bytes, std::size_t comment_bytes) {
  const std::size_t options_bytes =
      comment_bytes == 0 ? 0 : option_bytes(comment_bytes) + kOptionHeadBytes;
  return kPacketFixedBytes + padded(captured_bytes) + options_bytes;
}
constexpr std::size_t kBlockBytesMax = kPacketFixedBytes + padded(kCapturedBytesMax) +
                                       option_bytes(kOptionBytesMax) + kOptionHeadBytes;
static_assert(kBlockBytesMax <= kBufferBytes && kBlockBytesMax <= kCaptureBlockBytesMax);

/// At most kOptionBytesMax, never ending within a character of UTF-8.
std::string_view cut_to_option(std::string_view text) {
  if (text.size() <= kOptionBytesMax)
    return text;
  std::size_t size_bytes = kOptionBytesMax;
  while (size_bytes > 0 && (static_cast<unsigned char>(text[size_bytes]) & 0xc0U) == 0x80U)
    --size_bytes;
  return text.substr(0, size_bytes);
}

/// Holds back SIGPIPE from this thread, so that a closed pipe is an error of write() like any
/// other.
class PipeSignalGuard {
 public:
  PipeSignalGuard() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~PipeSignalGuard() {
    const timespec no_wait{};
    if (!was_pending_)
      while (sigtimedwait(&pipe_, nullptr, &no_wait) < 0 && errno == EINTR) {
      }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  PipeSignalGuard(const PipeSignalGuard&) = delete;
  PipeSignalGuard& operator=(const PipeSignalGuard&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_;
};

}  // namespace

class CaptureWriter::Encoder {
 public:
  Encoder(std::string path, int descriptor, std::size_t interface_count)
      : path_(std::move(path)),
        descriptor_(descriptor),
        interface_count_(interface_count),
        buffer_(std::make_unique_for_overwrite<std::byte[]>(kBufferBytes)) {}
  ~Encoder() { finish(); }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  void write_section();
  void write_interface(std::string_view name);
  void write_packet(const CapturedPacket& packet, std::string_view comment);
  void finish();
  void flush();
  bool ok() const { return error_ == 0; }
  std::uint64_t bytes() const { return flushed_bytes_ + used_; }
  std::uint64_t packets_in_file() const { return packets_in_file_; }
  Result<void> outcome() const;

 private:
  void reserve(std::size_t block_bytes);

  template <typename T>
  void put(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
      buffer_[used_ + i] = static_cast<std::byte>(value >> (8 * i));
    used_ += sizeof(T);
  }
  /// The bytes and the zeros that fill them up to 32 bits.
  void put_padded(const void* bytes, std::size_t size_bytes) {
    const std::size_t padded_bytes = padded(size_bytes);
    if (size_bytes > 0)
      std::memcpy(&buffer_[used_], bytes, size_bytes);
    std::fill_n(&buffer_[used_ + size_bytes], padded_bytes - size_bytes, std::byte{0});
    used_ += padded_bytes;
  }
  void put_option(std::uint16_t code, std::string_view value) {
    put(code);
    put(static_cast<std::uint16_t>(value.size()));
    put_padded(value.data(), value.size());
  }

  std::string path_;
  int descriptor_;  ///< -1 once finished
  std::size_t interface_count_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t used_ = 0;
  std::uint64_t flushed_bytes_ = 0;
  std::uint64_t packets_ = 0;
  std::uint64_t packets_in_file_ = 0;
  int error_ = 0;  ///< errno of the first write that failed
};

void CaptureWriter::Encoder::write_packet(const CapturedPacket& packet, std::string_view comment) {
  if (error_ != 0) [[unlikely]]
    return;
  FAULTLINE_CHECK(descriptor_ >= 0);
  FAULTLINE_CHECK(packet.interface < interface_count_);
  FAULTLINE_CHECK(packet.bytes.size() <= kCapturedBytesMax);
  comment = cut_to_option(comment);
  const auto captured_bytes = static_cast<std::uint32_t>(packet.bytes.size());
  const std::size_t block_bytes = block_bytes_of(captured_bytes, comment.size());
  reserve(block_bytes);
  ++packets_;
  put(pcapng::kEnhancedPacket);
  put(static_cast<std::uint32_t>(block_bytes));
  put(packet.interface);
  put(static_cast<std::uint32_t>(packet.time_ns >> 32));
  put(static_cast<std::uint32_t>(packet.time_ns));
  put(captured_bytes);
  put(std::max(packet.original_length_bytes, captured_bytes));
  put_padded(packet.bytes.data(), captured_bytes);
  if (!comment.empty()) {
    put_option(pcapng::kOptionComment, comment);
    put_option(pcapng::kOptionEnd, {});
  }
  put(static_cast<std::uint32_t>(block_bytes));
}

void CaptureWriter::Encoder::write_section() {
  constexpr std::uint32_t kBlockBytes = 28 + option_bytes(kApplication.size()) + kOptionHeadBytes;
  reserve(kBlockBytes);
  put(pcapng::kSectionHeader);
  put(kBlockBytes);
  put(pcapng::kByteOrderMagic);
  put(std::uint16_t{1});
  put(std::uint16_t{0});
  put(~std::uint64_t{0});  // pcapng 4.1: section length not stated
  put_option(pcapng::kOptionApplication, kApplication);
  put_option(pcapng::kOptionEnd, {});
  put(kBlockBytes);
}

void CaptureWriter::Encoder::write_interface(std::string_view name) {
  FAULTLINE_CHECK(name.size() <= kInterfaceNameBytesMax);
  const std::size_t name_bytes = name.empty() ? 0 : option_bytes(name.size());
  const auto block_bytes =
      static_cast<std::uint32_t>(20 + name_bytes + option_bytes(1) + kOptionHeadBytes);
  reserve(block_bytes);
  put(pcapng::kInterfaceDescription);
  put(block_bytes);
  put(static_cast<std::uint16_t>(kLinkTypeEthernet));
  put(std::uint16_t{0});
  put(std::uint32_t{0});  // snap length: none
  if (!name.empty())
    put_option(pcapng::kOptionInterfaceName, name);
  const char resolution = static_cast<char>(kNanoseconds);
  put_option(pcapng::kOptionTimeResolution, {&resolution, 1});
  put_option(pcapng::kOptionEnd, {});
  put(block_bytes);
}

void CaptureWriter::Encoder::reserve(std::size_t block_bytes) {
  if (kBufferBytes - used_ < block_bytes) [[unlikely]]
    flush();
}

void CaptureWriter::Encoder::flush() {
  const PipeSignalGuard guard;
  std::size_t written = 0;
  while (written < used_ && error_ == 0) {
    const ssize_t count = ::write(descriptor_, &buffer_[written], used_ - written);
    if (count >= 0)
      written += static_cast<std::size_t>(count);
    else if (errno != EINTR)
      error_ = errno;
  }
  // Nothing half written stays behind, where there is a file to be cut.
  if (error_ != 0)
    std::ignore = ::ftruncate(descriptor_, static_cast<off_t>(flushed_bytes_));
  else
    packets_in_file_ = packets_;
  flushed_bytes_ += error_ == 0 ? used_ : 0;
  used_ = 0;
}

void CaptureWriter::Encoder::finish() {
  if (descriptor_ < 0)
    return;
  flush();
  // Linux frees the descriptor even where close() is interrupted, so it is never tried again.
  if (descriptor_ != STDOUT_FILENO && ::close(descriptor_) != 0 && error_ == 0 && errno != EINTR)
    error_ = errno;
  descriptor_ = -1;
}

Result<void> CaptureWriter::Encoder::outcome() const {
  if (error_ == 0)
    return {};
  return tl::unexpected(Problems{
      problem_at(Mark{path_, 0, 0}, fmt::format("cannot be written: {}", std::strerror(error_)))});
}

Result<CaptureWriter> CaptureWriter::create(const std::string& path,
                                            const std::vector<std::string>& interface_names) {
  const int descriptor =
      path == "-" ? STDOUT_FILENO
                  : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
  if (descriptor < 0)
    return tl::unexpected(Problems{problem_at(
        Mark{path, 0, 0}, fmt::format("cannot be opened for writing: {}", std::strerror(errno)))});
  auto encoder = std::make_unique<Encoder>(path, descriptor, interface_names.size());
  encoder->write_section();
  for (const std::string& name : interface_names) encoder->write_interface(name);
  return CaptureWriter(std::move(encoder));
}

void CaptureWriter::write(const CapturedPacket& packet, std::string_view comment) {
  encoder_->write_packet(packet, comment);
}

std::uint64_t CaptureWriter::packet_bytes(const CapturedPacket& packet, std::string_view comment) {
  return block_bytes_of(packet.bytes.size(), cut_to_option(comment).size());
}

std::uint64_t CaptureWriter::bytes() const {
  return encoder_->bytes();
}

std::uint64_t CaptureWriter::packets_in_file() const {
  return encoder_->packets_in_file();
}

void CaptureWriter::flush() {
  encoder_->flush();
}

bool CaptureWriter::ok() const {
  return encoder_->ok();
}

Result<void> CaptureWriter::close() {
  encoder_->finish();
  return encoder_->outcome();
}

CaptureWriter::CaptureWriter(std::unique_ptr<Encoder> encoder) : encoder_(std::move(encoder)) {}
CaptureWriter::CaptureWriter(CaptureWriter&&) noexcept = default;
CaptureWriter& CaptureWriter::operator=(CaptureWriter&&) noexcept = default;
CaptureWriter::~CaptureWriter() = default;

}  // namespace faultline
