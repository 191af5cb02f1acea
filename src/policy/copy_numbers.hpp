// How the copies of a packet are told apart, and how many there may be.
#pragma once

#include "policy/policy.hpp"

namespace faultline {

/// Numbers copies so that no two of one packet are alike, whatever is copied again: each step
/// counts in multiples of how many there may be before it, on any path. More than a burst has room
/// for, or more edits than it notes, are a problem.
void number_copies(Policy& policy, const Scenario& scenario, Problems& problems);

/// Finds the paths on which only the last step of the last rule makes copies.
void find_last_copies(Policy& policy);

}  // namespace faultline
