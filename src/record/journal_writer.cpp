// Rings emptied, chunks written.
#include "record/journal_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace faultline {
namespace {

/// A chunk is written when it has grown so large, or when it has waited so long.
constexpr std::size_t kChunkBytes = std::size_t{16} << 10;
constexpr std::uint32_t kNapsAChunk = 100;
constexpr std::size_t kAtOnce = std::size_t{1} << 16;  ///< words

}  // namespace

Result<std::unique_ptr<JournalWriter>> JournalWriter::create(const std::string& path,
                                                             std::size_t workers,
                                                             std::uint64_t ring_words) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
  if (descriptor < 0)
    return tl::unexpected(Problems{problem_at(
        {path, 0, 0}, fmt::format("cannot be opened for writing: {}", std::strerror(errno)))});
  return std::unique_ptr<JournalWriter>(new JournalWriter(path, descriptor, workers, ring_words));
}

JournalWriter::JournalWriter(std::string path, int descriptor, std::size_t workers,
                             std::uint64_t ring_words)
    : path_(std::move(path)), descriptor_(descriptor) {
  for (std::size_t worker = 0; worker < workers; ++worker)
    ends_.push_back(std::make_unique<WorkerEnd>(
        ring_words, [this](std::uint64_t generation) { return names_of(generation); }));
  append(kJournalMagic);
}

JournalWriter::~JournalWriter() {
  end();
}

const JournalNames* JournalWriter::names_of(std::uint64_t generation) const {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(generation);
  return found != names_.end() ? found->second.get() : nullptr;
}

void JournalWriter::add_names(std::uint64_t generation, const JournalNames& names) {
  const std::lock_guard lock(mutex_);
  const auto after = names_.lower_bound(generation);
  const bool first = after == names_.begin();
  const auto before = first ? nullptr : std::prev(after)->second;
  const std::string text = names_text(generation, names, before.get());
  names_[generation] =
      before != nullptr && *before == names ? before : std::make_shared<JournalNames>(names);
  write_chunk({.kind = JournalChunk::kNames}, text);
}

/// The most words that a ring held.
std::size_t JournalWriter::take_all() {
  std::size_t most = 0;
  for (std::size_t worker = 0; worker < ends_.size(); ++worker) {
    WorkerEnd& end = *ends_[worker];
    for (auto words = end.ring.take(); !words.empty(); words = end.ring.take()) {
      most = std::max(most, words.size());
      end.encoder.encode(words);
      end.forgotten.store(end.encoder.forgotten(), std::memory_order_relaxed);
      if (end.encoder.bytes().text().size() >= kChunkBytes)
        write_records(worker);
      if (words.size() < kAtOnce)
        break;
    }
  }
  return most;
}

void JournalWriter::write_records(std::size_t worker) {
  WorkerEnd& end = *ends_[worker];
  std::string& bytes = end.encoder.bytes().text();
  if (bytes.empty())
    return;
  const std::lock_guard lock(mutex_);
  write_chunk({.kind = JournalChunk::kRecords, .worker = static_cast<std::uint8_t>(worker)}, bytes);
  (failure_.empty() ? hits_ : unwritten_) += end.encoder.hits() - end.hits_told;
  end.hits_told = end.encoder.hits();
  bytes.clear();
}

/// With the mutex held, or nobody else about.
void JournalWriter::write_chunk(JournalChunkHead head, std::string_view bytes) {
  head.bytes = static_cast<std::uint32_t>(bytes.size());
  head.check = journal_check(bytes);
  const std::uint64_t whole_bytes = bytes_;
  append({reinterpret_cast<const char*>(&head), sizeof head});
  append(bytes);
  if (!failure_.empty() && bytes_ > whole_bytes) {
    // Nothing half written stays behind.
    bytes_ = whole_bytes;
    if (::ftruncate(descriptor_, static_cast<off_t>(whole_bytes)) != 0)
      failure_ += ", and its end is damaged";
  }
}

void JournalWriter::append(std::string_view bytes) {
  while (!bytes.empty() && failure_.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0) {
      failure_ = fmt::format("{} cannot be written: {}", path_, std::strerror(errno));
      return;
    }
    bytes_ += static_cast<std::uint64_t>(count);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void JournalWriter::pump() {
  take_all();
}

void JournalWriter::start() {
  thread_.start("journal", [this] { return turn(); });
}

/// Whether there is more at once. What is read while it is being written takes lines of memory from
/// the worker, which then waits for them: what little there is can lie for a nap.
bool JournalWriter::turn() {
  const bool much = take_all() >= kAtOnce;
  if (++turns_ >= kNapsAChunk) {
    for (std::size_t worker = 0; worker < ends_.size(); ++worker) write_records(worker);
    turns_ = 0;
  }
  return much;
}

void JournalWriter::end() {
  if (ended_)
    return;
  ended_ = true;
  thread_.stop();
  while (take_all() > 0) {
  }
  std::uint64_t unfinished = 0;
  for (std::size_t worker = 0; worker < ends_.size(); ++worker) {
    ends_[worker]->encoder.end();
    write_records(worker);
    unfinished += ends_[worker]->encoder.unfinished();
  }
  const JournalStatus so_far = status();
  const std::lock_guard lock(mutex_);
  const nlohmann::json text = {
      {"hits", so_far.hits}, {"lost", so_far.lost}, {"unfinished", unfinished}};
  write_chunk({.kind = JournalChunk::kEnd}, text.dump());
  if (::close(descriptor_) != 0 && failure_.empty())
    failure_ = fmt::format("{} cannot be written: {}", path_, std::strerror(errno));
}

JournalStatus JournalWriter::status() const {
  const std::lock_guard lock(mutex_);
  JournalStatus status{hits_, unwritten_, bytes_, failure_};
  for (const auto& end : ends_)
    status.lost += end->tap.lost() + end->forgotten.load(std::memory_order_relaxed);
  return status;
}

}  // namespace faultline
