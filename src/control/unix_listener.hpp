// A listening Unix socket and its file: claimed by one daemon at a time, never taken from a living
// one, gone with its owner. What is said over it is not known here.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/error.hpp"

namespace faultline {

inline constexpr const char* kSocketFolderDefault = "/run/faultline";

class UnixListener {
 public:
  /// Binds and listens with mode 0660, whatever the umask. Makes the folder only if it is the
  /// default one. Errors: a folder that is missing or writable by others without the sticky bit; a
  /// path that is too long, is there and no socket, or where somebody answers ("socket in use").
  /// What a killed daemon has left is replaced. Waits up to 2 s while another daemon starts there.
  /// `group` becomes the file's; without it, it is the process's own.
  static Result<UnixListener> bind(const std::string& path, std::optional<gid_t> group = {});

  /// Ends listening at once, and removes the file unless it has become somebody else's.
  ~UnixListener();

  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&&) = delete;

  int descriptor() const { return socket_; }

 private:
  UnixListener(const std::string& path, std::optional<gid_t> group);
  Result<void> open_folder();
  Result<void> remove_leftover() const;
  Result<void> bind_and_listen();
  tl::unexpected<Problems> system_failure(const char* what) const;

  std::string path_;
  std::string leaf_;  ///< the path's last part
  std::optional<gid_t> group_;
  int folder_ = -1;   ///< every look at the file goes through it
  int socket_ = -1;   ///< while it is open, no other file gets this one's number
  dev_t device_ = 0;  ///< of the file, as bound
  ino_t number_ = 0;  ///< 0 while there is no file of ours
};

}  // namespace faultline
