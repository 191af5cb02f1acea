// Reading a small file whole.
#include "base/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace faultline {

FileText read_file(const std::string& path, std::size_t bytes_max) {
  FileText file;
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    file.why = std::strerror(errno);
    return file;
  }
  char block[16384];
  ssize_t got = 0;
  while (file.text.size() <= bytes_max && (got = read(descriptor, block, sizeof block)) > 0)
    file.text.append(block, static_cast<std::size_t>(got));
  file.readable = got >= 0;
  if (got < 0)
    file.why = std::strerror(errno);
  close(descriptor);
  return file;
}

}  // namespace faultline
