// The thread that writes down what workers put into their rings: it looks again and again, and naps
// for a millisecond when there was nothing.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

namespace faultline {

class WriterThread {
 public:
  WriterThread() = default;
  ~WriterThread() { stop(); }
  WriterThread(const WriterThread&) = delete;
  WriterThread& operator=(const WriterThread&) = delete;

  /// `turn` says whether there was anything. At most 15 bytes of `name` are seen from outside.
  void start(const std::string& name, std::function<bool()> turn);
  /// After the turn that goes on. Again: does nothing.
  void stop();

 private:
  std::thread thread_;
  std::atomic<bool> stop_{false};
};

}  // namespace faultline
