#include "telemetry/machine.h"

#include <gtest/gtest.h>

namespace borealis {
namespace {

TEST(MachineTest, NamesTheProcessorOfTheKernelsText) {
  EXPECT_EQ(cpu_model_in("processor\t: 0\nmodel\t\t: 25\nmodel name\t: AMD EPYC 9B45 \nbugs\t:\n"),
            "AMD EPYC 9B45");
  constexpr std::string_view kArm =
      "processor\t: 0\nBogoMIPS\t: 2000.00\nFeatures\t: fp asimd sve2\nCPU implementer\t: 0x41\n"
      "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd4f\nCPU revision\t: 0\n";
  EXPECT_EQ(cpu_model_in(kArm), "Arm Neoverse-V2");  // Grace
  EXPECT_EQ(cpu_model_in("CPU implementer\t: 0x61\nCPU part\t: 0x022\n"), "Arm core 0x022 of 0x61");
  EXPECT_EQ(cpu_model_in("CPU implementer\t: 0x61\nCPU part\t: 0xd4f\n"), "Arm core 0xd4f of 0x61");
  EXPECT_EQ(cpu_model_in("processor : 0\n"), "");
  EXPECT_EQ(cpu_model_in(""), "");
}

}  // namespace
}  // namespace borealis
