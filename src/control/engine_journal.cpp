// The engine's journal: begun and ended while packets pass, and given up when its file cannot be
// written to.
#include <unistd.h>

#include "control/engine.hpp"
#include "control/wait.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kLetGoTimeoutNs = 2 * kNsPerSecond;

}  // namespace

Result<void> Engine::start_journal(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (Result<void> opened = open_journal(path); !opened)
    return opened;
  for (std::size_t worker = 0; worker < workers_.size(); ++worker)
    workers_[worker].worker->set_witness(&journal_->tap(worker));
  return {};
}

Result<void> Engine::open_journal(const std::string& path) {
  if (journal_ != nullptr && !journal_given_up_)
    return failure("a journal is being written already: " + journal_->path());
  if (journal_ != nullptr && !let_go_of_journal())
    return failure("a worker still has the journal before: " + journal_->path());
  // One that lies there is somebody's: it is not written into, and a link is not followed.
  ::unlink(path.c_str());
  Result<std::unique_ptr<JournalWriter>> made = JournalWriter::create(path, workers_.size());
  if (!made)
    return tl::unexpected(made.error());
  journal_ = std::move(*made);
  journal_given_up_ = false;
  add_names(publisher_->chain());
  journal_->start();
  events_.add(uptime_ns(), "journal", {{"state", "begun"}, {"path", path}});
  return {};
}

JournalStatus Engine::stop_journal() {
  const std::lock_guard lock(mutex_);
  return close_journal();
}

JournalStatus Engine::close_journal() {
  if (journal_ == nullptr)
    return {};
  if (!let_go_of_journal())
    return journal_->status();
  journal_->end();
  const JournalStatus status = journal_->status();
  if (!journal_given_up_)
    events_.add(uptime_ns(), "journal",
                {{"state", "ended"}, {"hits", status.hits}, {"lost", status.lost}});
  journal_.reset();
  return status;
}

JournalStatus Engine::end_journal() {
  if (journal_ == nullptr)
    return {};
  journal_->end();
  return journal_->status();
}

/// False when a worker stands still: then the journal must stay.
bool Engine::let_go_of_journal() {
  for (const EngineWorker& each : workers_) {
    each.worker->set_witness_of_run(nullptr);
    each.worker->set_witness(nullptr);
  }
  return wait_until(kLetGoTimeoutNs, [&] {
    for (const EngineWorker& each : workers_)
      if (each.worker->witness() != nullptr)
        return false;
    return true;
  });
}

void Engine::add_names(const PolicyChain& chain) {
  if (journal_ != nullptr)
    for (const std::unique_ptr<Policy>& policy : chain)
      journal_->add_names(policy->generation, journal_names(*policy, port_names()));
}

/// Packets go on where the journal cannot.
void Engine::watch_journal(std::uint64_t now_ns) {
  if (journal_ == nullptr || journal_given_up_)
    return;
  const JournalStatus status = journal_->status();
  if (status.failure.empty())
    return;
  journal_given_up_ = true;
  for (const EngineWorker& each : workers_) each.worker->set_witness(nullptr);
  events_.add(now_ns - start_ns_, "journal",
              {{"state", "given-up"}, {"why", status.failure}, {"hits", status.hits}});
}

/// Null where there is none.
Json Engine::journal_json() const {
  if (journal_ == nullptr)
    return nullptr;
  const JournalStatus status = journal_->status();
  return {{"path", journal_->path()},
          {"hits", status.hits},
          {"lost", status.lost},
          {"bytes", status.bytes},
          {"failure", status.failure.empty() ? Json(nullptr) : Json(status.failure)}};
}

}  // namespace faultline
