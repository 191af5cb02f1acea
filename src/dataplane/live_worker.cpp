#include "dataplane/live_worker.hpp"

namespace faultline {
template class Worker<LivePort, TscTime>;
}  // namespace faultline
