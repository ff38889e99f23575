// The same for unit tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pch.h"
