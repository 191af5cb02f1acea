// Claiming a Unix socket's path: one daemon at a time, never from a living one, nothing left
// behind. What is said over the socket is not known here.
#include "control/unix_listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace faultline {
namespace {

using std::chrono::milliseconds;

constexpr mode_t kSocketMode = 0660;
constexpr std::size_t kPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;

/// Daemons that start or end in one folder do so one after the other. The lock is on the folder
/// itself, so that no file stays behind, and the kernel drops it however we end.
bool lock_folder(int folder, milliseconds wait) {
  const auto end = std::chrono::steady_clock::now() + wait;
  while (flock(folder, LOCK_EX | LOCK_NB) != 0) {
    if ((errno != EWOULDBLOCK && errno != EINTR) || std::chrono::steady_clock::now() >= end) {
      return false;
    }
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

int new_socket() {
  return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

using SocketCall = int (*)(int, const sockaddr*, socklen_t);

/// connect() or bind(), which want the same address.
int at_path(SocketCall call, int descriptor, const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);  // the length was checked at the start
  return call(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

/// Is somebody there? 0 for yes, else why not (errno). A full queue and a socket of another kind
/// have an owner too.
int try_to_connect(const std::string& path) {
  const int probe = new_socket();
  if (probe < 0) {
    return errno;
  }
  const int error = at_path(&connect, probe, path) == 0 ? 0 : errno;
  close(probe);
  return error == EAGAIN || error == EPROTOTYPE ? 0 : error;
}

}  // namespace

UnixListener::UnixListener(const std::string& path, std::optional<gid_t> group)
    : path_(path), leaf_(path.substr(path.rfind('/') + 1)), group_(group) {}  // npos + 1 is 0

UnixListener::UnixListener(UnixListener&& other) noexcept
    : path_(std::move(other.path_)),
      leaf_(std::move(other.leaf_)),
      group_(other.group_),
      folder_(std::exchange(other.folder_, -1)),
      socket_(std::exchange(other.socket_, -1)),
      device_(other.device_),
      number_(std::exchange(other.number_, 0)) {}

Result<UnixListener> UnixListener::bind(const std::string& path, std::optional<gid_t> group) {
  UnixListener listener(path, group);
  if (listener.leaf_.empty() || path.find('\0') != std::string::npos) {
    return failure(fmt::format("{} is no path of a socket", in_quotes(path)));
  }
  if (path.size() > kPathBytesMax) {
    return failure(fmt::format("the socket's path {} has {} bytes", in_quotes(path), path.size()),
                   fmt::format("at most {}", kPathBytesMax));
  }
  if (const auto opened = listener.open_folder(); !opened) {
    return tl::unexpected(opened.error());
  }
  if (!lock_folder(listener.folder_, milliseconds(2000))) {
    return listener.system_failure("another program keeps the folder locked");
  }
  if (const auto removed = listener.remove_leftover(); !removed) {
    return tl::unexpected(removed.error());
  }
  if (const auto bound = listener.bind_and_listen(); !bound) {
    return tl::unexpected(bound.error());
  }
  flock(listener.folder_, LOCK_UN);
  return listener;
}

UnixListener::~UnixListener() {
  if (socket_ >= 0) {
    shutdown(socket_, SHUT_RDWR);  // for whoever holds a copy of the descriptor, too
  }
  if (number_ != 0) {
    // Without the lock the look below is as good, but for a successor between it and the removal.
    static_cast<void>(lock_folder(folder_, milliseconds(200)));
    struct stat file = {};
    if (fstatat(folder_, leaf_.c_str(), &file, AT_SYMLINK_NOFOLLOW) == 0 &&
        file.st_dev == device_ && file.st_ino == number_) {
      unlinkat(folder_, leaf_.c_str(), 0);
    }
  }
  if (socket_ >= 0) {
    close(socket_);
  }
  if (folder_ >= 0) {
    close(folder_);
  }
}

Result<void> UnixListener::open_folder() {
  const std::string name = path_ == leaf_ ? "." : path_.substr(0, path_.size() - leaf_.size());
  if (name == fmt::format("{}/", kSocketFolderDefault) && mkdir(name.c_str(), 0755) == 0) {
    chmod(name.c_str(), 0755);  // a narrow umask must not lock the group out
  }
  folder_ = open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat folder = {};
  if (folder_ < 0 || fstat(folder_, &folder) != 0) {
    return system_failure("cannot open its folder");
  }
  if ((folder.st_mode & S_IWOTH) != 0 && (folder.st_mode & S_ISVTX) == 0) {
    return failure(fmt::format("the folder of the socket {} is writable by others without the "
                               "sticky bit",
                               in_quotes(path_)),
                   "others could put their own socket in its place");
  }
  return {};
}

Result<void> UnixListener::remove_leftover() const {
  struct stat file = {};
  if (fstatat(folder_, leaf_.c_str(), &file, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) {
      return {};
    }
    return system_failure("cannot look at it");
  }
  if (!S_ISSOCK(file.st_mode)) {
    return failure(fmt::format("{} is there and is not a socket", in_quotes(path_)));
  }
  const int error = try_to_connect(path_);
  if (error == 0) {
    return failure(fmt::format("socket in use: somebody listens at {}", in_quotes(path_)));
  }
  if (error != ECONNREFUSED && error != ENOENT) {
    errno = error;
    return system_failure("cannot tell whether it is in use");
  }
  if (unlinkat(folder_, leaf_.c_str(), 0) != 0 && errno != ENOENT) {
    return system_failure("cannot remove what a former daemon has left");
  }
  return {};
}

Result<void> UnixListener::bind_and_listen() {
  socket_ = new_socket();
  // Linux makes the file with the socket's own mode less the umask, so it is never wider than it
  // should be; chmod then undoes the umask, and before listen nobody can connect.
  if (socket_ < 0 || fchmod(socket_, kSocketMode) != 0 || at_path(&::bind, socket_, path_) != 0) {
    return system_failure("cannot bind it");
  }
  struct stat file = {};
  if (fstatat(folder_, leaf_.c_str(), &file, AT_SYMLINK_NOFOLLOW) != 0) {
    return system_failure("it went away while it was bound");
  }
  device_ = file.st_dev;
  number_ = file.st_ino;
  if (group_ &&
      fchownat(folder_, leaf_.c_str(), static_cast<uid_t>(-1), *group_, AT_SYMLINK_NOFOLLOW) != 0) {
    return system_failure("cannot give it to the group");
  }
  if (fchmodat(folder_, leaf_.c_str(), kSocketMode, AT_SYMLINK_NOFOLLOW) != 0 ||
      listen(socket_, SOMAXCONN) != 0) {
    return system_failure("cannot listen at it");
  }
  return {};
}

tl::unexpected<Problems> UnixListener::system_failure(const char* what) const {
  const int error = errno;
  return failure(fmt::format("socket {}: {}: {}", in_quotes(path_), what, std::strerror(error)));
}

}  // namespace faultline
