// Where packets of a capture enter: what the commands that read captures share.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/scenario.hpp"
#include "sim/entry.hpp"

namespace faultline {

struct InputWord {
  std::optional<std::size_t> port;  ///< nothing: none is named
  std::string path;
};

/// `PORT=FILE`, or FILE alone, as given to `option`. Nothing where PORT is unknown, which is told.
std::optional<InputWord> split_input(std::string_view option, const std::string& word,
                                     const Scenario& scenario);

/// The words of `--left`. Nothing where one is no address, which is told.
std::optional<SourceSet> read_left(const std::vector<std::string>& words);

/// Where the packets of an input enter: the port that is named; else by source, where --left says
/// what is left; else the port that the packet's interface is named after, or the first port of the
/// first wire.
Entry entry_for(const InputWord& input, const SourceSet& left, const Scenario& scenario);

std::vector<std::string> port_names(const Scenario& scenario);

}  // namespace faultline
