// What the benchmarks' programs share: words of the command line, and what the machine says.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace faultline {

/// "--name value" pairs.
class Words {
 public:
  /// Ends the process with status 2 where one is not in `usage` as "--name VALUE".
  Words(int count, char** arguments, std::string_view usage) : usage_(usage) {
    for (int at = 1; at < count; at += 2) {
      const std::string_view name = arguments[at];
      if (!name.starts_with("--") || usage.find(fmt::format("{} ", name)) == std::string_view::npos)
        refuse(fmt::format("no such word: {}", name));
      if (at + 1 == count)
        refuse(fmt::format("{} needs a value", name));
      values_[std::string(name)] = arguments[at + 1];
    }
  }

  /// Null when it was not given.
  const std::string* find(std::string_view name) const {
    const auto found = values_.find(name);
    return found != values_.end() ? &found->second : nullptr;
  }
  double number(std::string_view name, double otherwise) const {
    const std::string* text = find(name);
    if (text == nullptr)
      return otherwise;
    double value = 0;
    const char* end = text->data() + text->size();
    if (std::from_chars(text->data(), end, value).ptr != end || !(value >= 0))
      refuse(fmt::format("{} is a number, 0 or more: {}", name, *text));
    return value;
  }
  [[noreturn]] void refuse(std::string_view what) const {
    fmt::print(stderr, "error: {}\n\n{}", what, usage_);
    std::exit(2);
  }

 private:
  std::string_view usage_;
  std::map<std::string, std::string, std::less<>> values_;
};

/// ns that this thread waited for its core while others had it.
inline std::uint64_t waited_ns() {
  std::ifstream file("/proc/thread-self/schedstat");
  std::uint64_t ran = 0;
  std::uint64_t waited = 0;
  file >> ran >> waited;
  return waited;
}

}  // namespace faultline
