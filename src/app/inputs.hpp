// Where packets of a capture enter: what the commands that read captures share.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "policy/scenario.hpp"

namespace faultline {

struct InputWord {
  std::size_t port = 0;
  std::string path;
};

/// `PORT=FILE`, or FILE for the first port of the first wire, as given to `option`. Nothing where
/// PORT is unknown, which is told.
std::optional<InputWord> split_input(std::string_view option, const std::string& word,
                                     const Scenario& scenario);

}  // namespace faultline
