// The compilers' 128-bit integers under names that -Wpedantic accepts.
#pragma once

namespace faultline {
__extension__ typedef unsigned __int128 Uint128;
__extension__ typedef __int128 Int128;
}  // namespace faultline
