// Reads a journal's file: what is whole in it, in the order in which it was written, also while it
// is still being written. Believes nothing: a file may end anywhere and hold anything.
#pragma once

#include <memory>
#include <string>

#include "base/error.hpp"
#include "record/journal_line.hpp"

namespace faultline {

/// Hits of one flow in one second since time zero, summed up. One flow may have several of a
/// second, which add up.
struct JournalDigest {
  std::uint64_t second = 0;
  std::uint64_t hits = 0;
  std::uint64_t digest = 0;
  std::uint8_t ingress = 0;
  std::uint8_t egress = 0;
  FlowConnection connection;  ///< of the flow
};

class JournalVisitor {
 public:
  virtual ~JournalVisitor() = default;
  virtual void hit(std::uint8_t worker, const JournalLine& line) = 0;
  virtual void digest(const JournalDigest& digest, const FlowKey& flow, const JournalNames& names);
  /// A packet that was said to be sent was not.
  virtual void gone(std::uint8_t worker, const JournalGone& gone);
  /// Here hits are missing.
  virtual void lost(std::uint64_t hits);
};

enum class JournalEnd : std::uint8_t {
  kClosed,   ///< it was ended as it should be
  kCut,      ///< nothing more is there: it is being written, or its writer died
  kDamaged,  ///< what follows cannot be read
};

class JournalReader {
 public:
  /// Errors: it cannot be opened, or is no journal.
  static Result<JournalReader> open(const std::string& path);
  JournalReader(JournalReader&&) noexcept;
  JournalReader& operator=(JournalReader&&) noexcept;
  ~JournalReader();

  /// Hands over all that is whole and has not been read yet.
  JournalEnd read(JournalVisitor& visitor);
  /// How far that was.
  std::uint64_t offset_bytes() const;
  std::uint64_t hits() const;
  /// Told lost so far, and, once it is closed, those that came to nothing because the packet had
  /// not left.
  std::uint64_t lost() const;
  std::uint64_t unfinished() const;

 private:
  class Decoder;
  explicit JournalReader(std::unique_ptr<Decoder> decoder);
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace faultline
