#include "sim/virtual_worker.hpp"

namespace faultline {
template class Worker<SimPort, VirtualTime>;
}  // namespace faultline
