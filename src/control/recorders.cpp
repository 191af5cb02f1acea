// Opening, handing over to workers, letting go, closing.
#include "control/recorders.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/wall_clock.hpp"
#include "control/wait.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kLetGoTimeoutNs = 2 * kNsPerSecond;
constexpr std::uint64_t kWatchEveryNs = 100 * kNsPerMs;

}  // namespace

void Recorders::attach(std::vector<LiveWorker*> workers, std::vector<std::string> port_names) {
  workers_ = std::move(workers);
  port_names_ = std::move(port_names);
}

void Recorders::tell(const std::string& kind, Json fields) {
  events_.add(clock_.now_ns() - start_ns_, kind, std::move(fields));
}

Result<void> Recorders::open_journal(const std::string& path, const PolicyChain& chain) {
  if (journal_ != nullptr && !journal_given_up_)
    return failure("a journal is being written already: " + journal_->path());
  if (journal_ != nullptr) {
    const std::string before = journal_->path();
    close_journal();
    if (journal_ != nullptr)
      return failure("a worker still has the journal before: " + before);
  }
  // One that lies there is somebody's: it is not written into, and a link is not followed.
  ::unlink(path.c_str());
  Result<std::unique_ptr<JournalWriter>> made = JournalWriter::create(path, workers_.size());
  if (!made)
    return tl::unexpected(made.error());
  journal_ = std::move(*made);
  journal_given_up_ = false;
  add_names(chain);
  journal_->start();
  tell("journal", {{"state", "begun"}, {"path", path}});
  return {};
}

Result<void> Recorders::open_captures(const std::vector<CaptureSpec>& captures,
                                      const std::string& folder, const PolicyChain& chain) {
  close_captures();
  if (captures_ != nullptr)
    return failure("a worker still has the captures before: " + captures_->folder());
  const std::uint64_t now_ns = clock_.now_ns();
  auto made = CaptureSet::create({.folder = folder,
                                  .captures = captures,
                                  .port_names = port_names_,
                                  .workers = workers_.size(),
                                  .unix_offset_ns = unix_ns() - now_ns});
  if (!made)
    return tl::unexpected(made.error());
  captures_ = std::move(*made);
  troubles_.clear();
  add_names(chain);
  captures_->start([this] { return clock_.now_ns(); });
  tell("capture", {{"state", "begun"}, {"folder", folder}});
  return {};
}

/// Who is to watch the worker, by what is open.
Witness* Recorders::witness_of(std::size_t worker) {
  Witness* journal = journal_ != nullptr && !journal_given_up_ ? &journal_->tap(worker) : nullptr;
  Witness* captures = captures_ != nullptr ? &captures_->tap(worker) : nullptr;
  if (journal == nullptr || captures == nullptr)
    return journal != nullptr ? journal : captures;
  pairs_.push_back(std::make_unique<WitnessPair>(*journal, *captures));
  return pairs_.back().get();
}

void Recorders::watch_from_run() {
  for (std::size_t worker = 0; worker < workers_.size(); ++worker)
    workers_[worker]->set_witness_of_run(witness_of(worker));
}

/// Has the workers told by what is open now, and nobody else. False when one stands still: whoever
/// it tells must stay.
bool Recorders::settle() {
  std::vector<std::unique_ptr<WitnessPair>> before = std::move(pairs_);
  pairs_.clear();
  std::vector<Witness*> wanted;
  for (std::size_t worker = 0; worker < workers_.size(); ++worker) {
    wanted.push_back(witness_of(worker));
    workers_[worker]->set_witness_of_run(nullptr);
    workers_[worker]->set_witness(wanted.back());
  }
  const bool settled = wait_until(kLetGoTimeoutNs, [&] {
    for (std::size_t worker = 0; worker < workers_.size(); ++worker)
      if (workers_[worker]->witness() != wanted[worker])
        return false;
    return true;
  });
  if (!settled)
    for (auto& pair : before) pairs_.push_back(std::move(pair));
  return settled;
}

JournalStatus Recorders::close_journal() {
  if (journal_ == nullptr)
    return {};
  std::unique_ptr<JournalWriter> ending = std::move(journal_);
  if (!settle()) {
    journal_ = std::move(ending);
    return journal_->status();
  }
  ending->end();
  const JournalStatus status = ending->status();
  if (!std::exchange(journal_given_up_, false))
    tell("journal", {{"state", "ended"}, {"hits", status.hits}, {"lost", status.lost}});
  return status;
}

Json Recorders::close_captures() {
  if (captures_ == nullptr)
    return nullptr;
  std::unique_ptr<CaptureSet> ending = std::move(captures_);
  const bool settled = settle();
  if (settled)
    ending->end();
  captures_ = std::move(ending);
  Json said = captures_json();
  if (settled) {
    captures_.reset();
    tell("capture", {{"state", "ended"}, {"folder", said["folder"]}});
  }
  return said;
}

JournalStatus Recorders::end() {
  if (captures_ != nullptr)
    captures_->end();
  if (journal_ == nullptr)
    return {};
  journal_->end();
  return journal_->status();
}

void Recorders::add_names(const PolicyChain& chain) {
  for (const std::unique_ptr<Policy>& policy : chain) {
    if (journal_ == nullptr && captures_ == nullptr)
      return;
    const JournalNames names = journal_names(*policy, port_names_);
    if (journal_ != nullptr)
      journal_->add_names(policy->generation, names);
    if (captures_ != nullptr)
      captures_->add_names(policy->generation, names);
  }
}

bool Recorders::captures_are(const std::vector<CaptureSpec>& captures) const {
  if (captures_ == nullptr)
    return captures.empty();
  return std::ranges::equal(
      captures_->captures(), captures,
      [](const CaptureSpec& ours, const CaptureSpec& theirs) { return ours.asks_as(theirs); });
}

void Recorders::watch(std::uint64_t now_ns) {
  if (now_ns < next_watch_ns_)
    return;
  next_watch_ns_ = now_ns + kWatchEveryNs;
  if (journal_ != nullptr && !journal_given_up_)
    if (const JournalStatus status = journal_->status(); !status.failure.empty()) {
      journal_given_up_ = true;
      settle();
      tell("journal", {{"state", "given-up"}, {"why", status.failure}, {"hits", status.hits}});
    }
  if (captures_ == nullptr)
    return;
  const std::vector<CaptureStatus> all = captures_->status();
  troubles_.resize(all.size());
  for (std::size_t at = 0; at < all.size(); ++at) {
    const std::string& trouble = all[at].ring.failure;
    if (trouble.empty() != troubles_[at].empty())
      tell("capture", {{"state", trouble.empty() ? "goes-on" : "failing"},
                       {"name", all[at].name},
                       {"point", all[at].point},
                       {"lost", all[at].ring.lost},
                       {"why", trouble.empty() ? Json(nullptr) : Json(trouble)}});
    troubles_[at] = trouble;
  }
}

Json Recorders::journal_json() const {
  if (journal_ == nullptr)
    return nullptr;
  const JournalStatus status = journal_->status();
  return {{"path", journal_->path()},
          {"hits", status.hits},
          {"lost", status.lost},
          {"bytes", status.bytes},
          {"failure", status.failure.empty() ? Json(nullptr) : Json(status.failure)}};
}

Json Recorders::captures_json() const {
  if (captures_ == nullptr)
    return nullptr;
  return {{"folder", captures_->folder()},
          {"unknown", captures_->lost()},
          {"captures", to_json(*captures_)}};
}

}  // namespace faultline
