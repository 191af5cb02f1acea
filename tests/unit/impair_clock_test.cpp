// clock.
#include <gtest/gtest.h>
