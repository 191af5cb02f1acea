// The names of link types, for messages. Which of them can be read is said elsewhere.
#pragma once

#include <cstdint>
#include <string>

namespace faultline {

/// "LINUX_SLL (113)" for those that people meet, else the number alone. Source:
/// https://www.tcpdump.org/linktypes.html, the names without "LINKTYPE_".
std::string link_type_text(std::uint32_t link_type);

}  // namespace faultline
