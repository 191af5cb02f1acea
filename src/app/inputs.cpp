// Reading [PORT=]FILE and --left.
#include "app/inputs.hpp"

#include <fmt/format.h>

#include "app/load.hpp"

namespace faultline {

std::optional<InputWord> split_input(std::string_view option, const std::string& word,
                                     const Scenario& scenario) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos || word.find('/') < equals)
    return InputWord{std::nullopt, word};
  const std::string name = word.substr(0, equals);
  for (std::size_t port = 0; port < scenario.ports.size(); ++port)
    if (scenario.ports[port].name == name)
      return InputWord{port, word.substr(equals + 1)};
  std::string known;
  for (const PortSpec& port : scenario.ports) known += (known.empty() ? "" : ", ") + port.name;
  tell(fmt::format("{} {}: unknown port '{}'; one of {}", option, word, name, known),
       OutputForm::kHuman);
  return std::nullopt;
}

std::vector<std::string> port_names(const Scenario& scenario) {
  std::vector<std::string> names;
  for (const PortSpec& port : scenario.ports) names.push_back(port.name);
  return names;
}

std::optional<SourceSet> read_left(const std::vector<std::string>& words) {
  SourceSet left;
  for (const std::string& word : words)
    if (!left.add(word)) {
      tell(fmt::format("--left {}: no address; an IPv4 or IPv6 address or prefix such as "
                       "10.0.0.0/8, or a MAC address",
                       word),
           OutputForm::kHuman);
      return std::nullopt;
    }
  return left;
}

Entry entry_for(const InputWord& input, const SourceSet& left, const Scenario& scenario) {
  const PortPair first = scenario.paths().front();
  const EntryPorts ends{static_cast<std::uint8_t>(first.from), static_cast<std::uint8_t>(first.to)};
  if (input.port)
    return Entry::at(static_cast<std::uint8_t>(*input.port));
  if (!left.empty())
    return Entry::by_source(left, ends);
  return Entry::by_interface(port_names(scenario), ends.first);
}

}  // namespace faultline
