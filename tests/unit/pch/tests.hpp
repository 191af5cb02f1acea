// What nearly every test of an impairment includes, compiled once for all of them. Each file names
// what it uses all the same; nothing includes this one, so it needs no guard.
#include <gtest/gtest.h>

#include "impair/impairment.hpp"
#include "tests/unit/impair_bench.hpp"
#include "tests/unit/support.hpp"
