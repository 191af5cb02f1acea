// Handing patterns to Hyperscan.
#include "match/payload_database.hpp"

#include <hs.h>

#include <cstdlib>

#include <fmt/format.h>

namespace faultline {
namespace {

void close_database(hs_database* database) {
  hs_free_database(database);
}

/// The patterns of all queries in the shape of hs_compile_ext_multi.
struct PatternArrays {
  std::vector<const char*> expressions;
  std::vector<unsigned> flags;
  std::vector<unsigned> ids;
  std::vector<hs_expr_ext_t> bounds;
  std::vector<const hs_expr_ext_t*> bound_pointers;
  std::vector<std::pair<const PayloadQuery*, const PayloadPattern*>> sources;
};

enum class Kind : std::uint8_t { kPacket, kStream };

PatternArrays arrays_of(std::span<const PayloadQuery* const> queries, Kind kind) {
  PatternArrays arrays;
  for (const PayloadQuery* query : queries) {
    if (kind == Kind::kStream && !query->stream)
      continue;
    for (const PayloadPattern& pattern : query->patterns) {
      arrays.expressions.push_back(pattern.expression.c_str());
      // Once is enough of a packet; in a stream every later packet may complete another match.
      arrays.flags.push_back(pattern.flags | (kind == Kind::kPacket ? HS_FLAG_SINGLEMATCH : 0U));
      // Numbers of their own: for many patterns of one number compiling takes a hundred times as
      // long (measured: 10,000 literals 0.3 s, of one number 16 to 34 s).
      arrays.ids.push_back(static_cast<unsigned>(arrays.ids.size()));
      hs_expr_ext_t bounds{};
      if (pattern.end_min_bytes > 0)
        bounds.flags |= HS_EXT_FLAG_MIN_OFFSET;
      bounds.min_offset = pattern.end_min_bytes;
      if (pattern.end_max_bytes)
        bounds.flags |= HS_EXT_FLAG_MAX_OFFSET;
      bounds.max_offset = pattern.end_max_bytes.value_or(0);
      arrays.bounds.push_back(bounds);
      arrays.sources.emplace_back(query, &pattern);
    }
  }
  for (const hs_expr_ext_t& bounds : arrays.bounds) arrays.bound_pointers.push_back(&bounds);
  return arrays;
}

Result<std::shared_ptr<hs_database>> compile_kind(std::span<const PayloadQuery* const> queries,
                                                  Kind kind) {
  const PatternArrays arrays = arrays_of(queries, kind);
  if (arrays.expressions.empty())
    return std::shared_ptr<hs_database>();
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  const unsigned mode = kind == Kind::kPacket ? HS_MODE_BLOCK : HS_MODE_STREAM;
  if (hs_compile_ext_multi(arrays.expressions.data(), arrays.flags.data(), arrays.ids.data(),
                           arrays.bound_pointers.data(),
                           static_cast<unsigned>(arrays.expressions.size()), mode, nullptr,
                           &database, &error) == HS_SUCCESS)
    return std::shared_ptr<hs_database>(database, close_database);
  const std::string said = error != nullptr ? error->message : "no database";
  const int which = error != nullptr ? error->expression : -1;
  hs_free_compile_error(error);
  const auto& [query, pattern] = arrays.sources[which < 0 ? 0 : static_cast<std::size_t>(which)];
  if (which < 0)
    return tl::unexpected(Problems{problem_at(pattern->mark, "payload patterns: " + said)});
  return tl::unexpected(Problems{problem_of_pattern(*pattern, query->file, said)});
}

std::string bytes_of(const hs_database* database) {
  char* bytes = nullptr;
  std::size_t length = 0;
  if (database == nullptr || hs_serialize_database(database, &bytes, &length) != HS_SUCCESS)
    return {};
  std::string text(bytes, length);
  std::free(bytes);
  return text;
}

std::shared_ptr<hs_database> database_of(const std::string& bytes) {
  hs_database_t* database = nullptr;
  if (bytes.empty() || hs_deserialize_database(bytes.data(), bytes.size(), &database) != HS_SUCCESS)
    return nullptr;
  return {database, close_database};
}

std::size_t size_of(const hs_database* database) {
  std::size_t bytes = 0;
  return database != nullptr && hs_database_size(database, &bytes) == HS_SUCCESS ? bytes : 0;
}

Problems too_many(const PayloadQuery& query, std::string message, std::size_t most) {
  return {
      problem_at(query.patterns.front().mark, std::move(message), fmt::format("at most {}", most))};
}

}  // namespace

Result<std::shared_ptr<const PayloadDatabase>> PayloadDatabase::compile(
    std::span<const PayloadQuery* const> queries) {
  std::size_t patterns = 0;
  for (std::size_t at = 0; at < queries.size(); ++at) {
    patterns += queries[at]->patterns.size();
    if (at >= kQueriesMax)
      return tl::unexpected(too_many(*queries[at], "too many different payloads", kQueriesMax));
    if (patterns > kPayloadPatternsMax)
      return tl::unexpected(
          too_many(*queries[at], "too many payload patterns in all rules", kPayloadPatternsMax));
  }
  auto packet = compile_kind(queries, Kind::kPacket);
  if (!packet)
    return tl::unexpected(std::move(packet.error()));
  auto stream = compile_kind(queries, Kind::kStream);
  if (!stream)
    return tl::unexpected(std::move(stream.error()));
  auto made = std::make_shared<PayloadDatabase>();
  made->packet_ = std::move(*packet);
  made->stream_ = std::move(*stream);
  made->finish(queries);
  return std::shared_ptr<const PayloadDatabase>(std::move(made));
}

void PayloadDatabase::finish(std::span<const PayloadQuery* const> queries) {
  for (std::size_t at = 0; at < queries.size(); ++at) {
    const PayloadQuery& query = *queries[at];
    const auto number = static_cast<std::uint16_t>(at);
    places_.push_back({query.within_bytes.value_or(UINT64_MAX), query.at_offset});
    packet_queries_.insert(packet_queries_.end(), query.patterns.size(), number);
    if (query.stream)
      stream_queries_.insert(stream_queries_.end(), query.patterns.size(), number);
  }
  bytes_ = size_of(packet_.get()) + size_of(stream_.get());
  if (stream_ != nullptr)
    hs_stream_size(stream_.get(), &stream_bytes_);
}

PayloadDatabase::Bytes PayloadDatabase::to_bytes() const {
  return {bytes_of(packet_.get()), bytes_of(stream_.get())};
}

std::shared_ptr<const PayloadDatabase> PayloadDatabase::from_bytes(
    const Bytes& bytes, std::span<const PayloadQuery* const> queries) {
  auto made = std::make_shared<PayloadDatabase>();
  made->packet_ = database_of(bytes.packet);
  made->stream_ = database_of(bytes.stream);
  if (made->packet_ == nullptr || (made->stream_ == nullptr) != bytes.stream.empty())
    return nullptr;
  made->finish(queries);
  return made;
}

}  // namespace faultline
