// Events of drivers that must not meet a worker inside a port.
#pragma once

namespace faultline {

/// Makes what net_memif does when a peer comes or goes wait for workers (DriverGate). Must be
/// called before the first such port is made; once is enough.
void hold_driver_events();

}  // namespace faultline
