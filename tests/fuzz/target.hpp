// What a fuzz target is: one function that takes any bytes and must return. libFuzzer calls it, and
// so does the replay of the kept corpus, which needs no fuzzer.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
