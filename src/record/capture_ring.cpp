// Files opened, filled, closed and removed.
#include "record/capture_ring.hpp"

#include <unistd.h>

#include <fmt/format.h>

#include <utility>

namespace faultline {
namespace {

constexpr std::uint64_t kTryAgainNs = 1'000'000'000;

}  // namespace

void CaptureRing::write(const CapturedPacket& packet, std::string_view comment,
                        std::uint64_t now_ns) {
  const std::uint64_t bytes = CaptureWriter::packet_bytes(packet, comment);
  if (writer_ && writer_->bytes() + bytes > settings_.file_bytes)
    close();
  if (!writer_ && !open(now_ns)) {
    ++status_.lost;
    return;
  }
  writer_->write(packet, comment);
  ++written_;
  if (!writer_->ok())
    give_up(now_ns, writer_->close().error().front().message);
}

bool CaptureRing::open(std::uint64_t now_ns) {
  if (now_ns < try_again_ns_)
    return false;
  while (files_.size() >= settings_.files) remove_oldest();
  const std::string path = fmt::format("{}-{:06}.pcapng", settings_.stem, ++numbered_);
  Result<CaptureWriter> made = CaptureWriter::create(path, settings_.port_names);
  if (!made) {
    --numbered_;
    try_again_ns_ = now_ns + kTryAgainNs;
    status_.failure = made.error().front().message;
    return false;
  }
  // So that a disk without room says so before packets are given to it.
  made->flush();
  if (!made->ok()) {
    const std::string why = made->close().error().front().message;
    ::unlink(path.c_str());
    --numbered_;
    if (!files_.empty()) {
      remove_oldest();
      return open(now_ns);
    }
    try_again_ns_ = now_ns + kTryAgainNs;
    status_.failure = why;
    return false;
  }
  writer_ = std::move(*made);
  written_ = 0;
  files_.push_back({path, 0});
  return true;
}

/// Counts what the newest file has for certain, and what it has not taken.
void CaptureRing::settle() {
  const std::uint64_t kept = writer_->packets_in_file();
  status_.packets += kept;
  status_.lost += written_ - kept;
  written_ = 0;
  files_.back().bytes = writer_->bytes();
  writer_.reset();
}

/// The file has no room for what it was given last.
void CaptureRing::give_up(std::uint64_t now_ns, std::string why) {
  settle();
  status_.failure = std::move(why);
  if (files_.size() > 1)
    remove_oldest();
  else
    try_again_ns_ = now_ns + kTryAgainNs;
}

void CaptureRing::remove_oldest() {
  ::unlink(files_.front().path.c_str());
  files_.pop_front();
  ++status_.removed;
}

void CaptureRing::flush(std::uint64_t now_ns) {
  if (!writer_)
    return;
  writer_->flush();
  if (writer_->ok())
    status_.failure.clear();
  else
    give_up(now_ns, writer_->close().error().front().message);
}

void CaptureRing::close() {
  if (!writer_)
    return;
  const Result<void> closed = writer_->close();
  settle();
  status_.failure = closed ? std::string() : closed.error().front().message;
}

CaptureRingStatus CaptureRing::status() const {
  CaptureRingStatus status = status_;
  status.files = files_.size();
  for (const File& file : files_) status.bytes += file.bytes;
  if (writer_) {
    status.bytes += writer_->bytes();
    status.packets += written_;
  }
  return status;
}

}  // namespace faultline
