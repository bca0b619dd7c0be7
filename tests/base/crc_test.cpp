#include "base/crc.h"

#include <gtest/gtest.h>

#include <string>

namespace borealis {
namespace {

// The check values of the catalogue of parametrised CRC algorithms.
TEST(Crc, HasTheCheckValues) {
  EXPECT_EQ(crc32_ieee("123456789"), 0xCBF43926U);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32_ieee(""), 0U);
  EXPECT_EQ(crc32c(""), 0U);
}

// RFC 3720, B.4.
TEST(Crc, CastagnoliHasTheValuesOfIscsi) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
}

}  // namespace
}  // namespace borealis
