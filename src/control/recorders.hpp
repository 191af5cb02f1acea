// What watches the workers in a daemon: the journal and the captures. Each is begun and ended while
// packets pass, and packets go on where a disk cannot.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/tsc_clock.hpp"
#include "control/event_log.hpp"
#include "dataplane/live_worker.hpp"
#include "dataplane/witness_pair.hpp"
#include "policy/timeline.hpp"
#include "record/capture_set.hpp"
#include "record/journal_writer.hpp"

namespace faultline {

class Recorders {
 public:
  /// Events are stamped with the time since `start_ns`.
  Recorders(EventLog& events, TscClock& clock, std::uint64_t start_ns)
      : events_(events), clock_(clock), start_ns_(start_ns) {}

  void attach(std::vector<LiveWorker*> workers, std::vector<std::string> port_names);

  /// Has all that rules do to packets written to `path`, which is made anew; watching begins with
  /// one of the two below. `chain` are the policies that may come to be used. Errors: it cannot be
  /// made, or one is being written already.
  Result<void> open_journal(const std::string& path, const PolicyChain& chain);
  /// The like, for captures, whose files come to be in `folder`. Those before are closed.
  Result<void> open_captures(const std::vector<CaptureSpec>& captures, const std::string& folder,
                             const PolicyChain& chain);
  /// Workers tell what is open from their next poll on.
  void watch_now() { settle(); }
  /// Or from the next run's time zero on.
  void watch_from_run();

  /// What became of it; nothing where there was none.
  JournalStatus close_journal();
  /// The like: as captures_json(); null where there were none.
  Json close_captures();
  /// When no worker runs any more: both.
  JournalStatus end();

  /// What names of new policies mean, before they are published.
  void add_names(const PolicyChain& chain);
  /// Whether just these are being written.
  bool captures_are(const std::vector<CaptureSpec>& captures) const;
  /// Gives up a journal that cannot be written to, and tells of captures' troubles. Now and then.
  void watch(std::uint64_t now_ns);

  /// Null where there is none.
  Json journal_json() const;
  /// {folder, unknown, captures: [{name, point, packets, …}]}; null where there are none.
  Json captures_json() const;

 private:
  Witness* witness_of(std::size_t worker);
  bool settle();
  void tell(const std::string& kind, Json fields);

  EventLog& events_;
  TscClock& clock_;
  std::uint64_t start_ns_;
  std::vector<LiveWorker*> workers_;
  std::vector<std::string> port_names_;
  std::unique_ptr<JournalWriter> journal_;  ///< outlives the workers; null: none is written
  bool journal_given_up_ = false;
  std::unique_ptr<CaptureSet> captures_;  ///< likewise
  std::vector<std::unique_ptr<WitnessPair>> pairs_;
  std::vector<std::string> troubles_;  ///< of captures, as told last
  std::uint64_t next_watch_ns_ = 0;
};

}  // namespace faultline
