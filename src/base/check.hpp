// Broken invariants end the process in every build: a fault injector that no longer knows what it
// holds must not go on. Bad input and full buffers are never checked here; they are counted or
// told.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace faultline {

[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "faultline: broken invariant: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace faultline

#define FAULTLINE_CHECK(condition)                               \
  do {                                                           \
    if (!(condition)) [[unlikely]]                               \
      ::faultline::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
