// The report on a run: one HTML file that needs nothing else, with its figures in it.
#pragma once

#include <string>

#include "control/event_log.hpp"
#include "report/run_record.hpp"

namespace faultline {

/// What the page is made of, beside the folder.
struct PageExtras {
  Json asked;           ///< asked_of; null: the scenario could not be compiled
  Json lateness_bound;  ///< lateness_bound_of
  std::string version;
};

std::string report_page(const RunRecord& folder, const PageExtras& extras);

}  // namespace faultline
