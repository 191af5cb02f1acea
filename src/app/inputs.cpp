// Reading [PORT=]FILE.
#include "app/inputs.hpp"

#include <fmt/format.h>

#include "app/load.hpp"

namespace faultline {

std::optional<InputWord> split_input(std::string_view option, const std::string& word,
                                     const Scenario& scenario) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos || word.find('/') < equals)
    return InputWord{scenario.wires.front().first, word};
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

}  // namespace faultline
