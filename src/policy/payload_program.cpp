// Databases that are known already, and workers' scanners.
#include "policy/payload_program.hpp"

#include <list>
#include <mutex>
#include <string>

namespace faultline {
namespace {

/// Compiled databases by their content, the last used first. Those in use are known however large
/// they are; of others the bytes are kept, up to a bound.
class DatabaseCache {
 public:
  static constexpr std::size_t kBytesMax = std::size_t{64} << 20;

  Result<std::shared_ptr<const PayloadDatabase>> get(std::span<const PayloadQuery* const> queries) {
    std::string content;
    for (const PayloadQuery* query : queries) content += query->content();
    const std::lock_guard lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->content != content)
        continue;
      entries_.splice(entries_.begin(), entries_, entry);
      auto database = entry->database.lock();
      if (database == nullptr)
        database = PayloadDatabase::from_bytes(entry->bytes, queries);
      entry->database = database;
      if (database != nullptr)
        return database;
      bytes_ -= size_of(*entry);
      entries_.erase(entry);
      break;
    }
    auto database = PayloadDatabase::compile(queries);
    if (database)
      keep({std::move(content), (*database)->to_bytes(), *database});
    return database;
  }

 private:
  struct Entry {
    std::string content;
    PayloadDatabase::Bytes bytes;
    std::weak_ptr<const PayloadDatabase> database;
  };

  static std::size_t size_of(const Entry& entry) {
    return entry.content.size() + entry.bytes.packet.size() + entry.bytes.stream.size();
  }

  void keep(Entry entry) {
    bytes_ += size_of(entry);
    entries_.push_front(std::move(entry));
    for (auto oldest = entries_.end(); bytes_ > kBytesMax && oldest != entries_.begin();) {
      --oldest;
      bytes_ -= size_of(*oldest);
      oldest->bytes = {};
      if (oldest->database.expired())
        oldest = entries_.erase(oldest);
      else
        bytes_ += size_of(*oldest);
    }
  }

  std::mutex mutex_;
  std::list<Entry> entries_;
  std::size_t bytes_ = 0;
};

}  // namespace

Result<void> PayloadProgram::prepare(std::uint32_t workers) {
  while (scanners_.size() < workers) {
    auto scanner = PayloadScanner::create(database_, streams_max_);
    if (scanner == nullptr)
      return failure("no memory for the streams that payloads are searched in",
                     "fewer flows.streams, or patterns with less state");
    scanners_.push_back(std::move(scanner));
  }
  return {};
}

Result<std::shared_ptr<const PayloadDatabase>> payload_database_of(
    std::span<const PayloadQuery* const> queries) {
  static DatabaseCache cache;
  return cache.get(queries);
}

}  // namespace faultline
