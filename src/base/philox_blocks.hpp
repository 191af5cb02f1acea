// Many Philox blocks at once: one block after the other waits for its own multiplications, so
// several are made side by side, two an instruction where the processor has AVX2.
#pragma once

#include <cstdint>

#include "base/philox.hpp"

namespace faultline {

/// blocks[i] = philox(key, counters[i]) for all i < count. What was just written should have been
/// written as whole blocks: they are read as such.
void philox_blocks(PhiloxKey key, const PhiloxBlock* counters, std::uint32_t count,
                   PhiloxBlock* blocks) noexcept;

/// blocks[i] = philox(keys[i], counter) for all i < count.
void philox_blocks(const PhiloxKey* keys, PhiloxBlock counter, std::uint32_t count,
                   PhiloxBlock* blocks) noexcept;

namespace philox_forms {

/// As above, without AVX2.
void one_by_one(PhiloxKey key, const PhiloxBlock* counters, std::uint32_t count,
                PhiloxBlock* blocks) noexcept;
void one_by_one(const PhiloxKey* keys, PhiloxBlock counter, std::uint32_t count,
                PhiloxBlock* blocks) noexcept;

}  // namespace philox_forms
}  // namespace faultline
