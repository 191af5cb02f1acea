// Turn, nap, turn.
#include "record/writer_thread.hpp"

#include <pthread.h>
#include <time.h>

#include <utility>

namespace faultline {

void WriterThread::start(const std::string& name, std::function<bool()> turn) {
  stop_.store(false, std::memory_order_relaxed);
  thread_ = std::thread([this, turn = std::move(turn)] {
    constexpr timespec kNap{0, 1'000'000};
    while (!stop_.load(std::memory_order_acquire))
      if (!turn())
        nanosleep(&kNap, nullptr);
  });
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

void WriterThread::stop() {
  if (!thread_.joinable())
    return;
  stop_.store(true, std::memory_order_release);
  thread_.join();
}

}  // namespace faultline
