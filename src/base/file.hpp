// Reading a small file whole. What its text means is not here.
#pragma once

#include <cstddef>
#include <string>

namespace faultline {

struct FileText {
  std::string text;
  bool readable = false;
  std::string why;  ///< when not readable: the system's words
};

/// Reads at most `bytes_max` + 1 bytes of a regular file or a pipe, so that a caller sees that a
/// text is too large without reading all of it.
FileText read_file(const std::string& path, std::size_t bytes_max);

}  // namespace faultline
