#include "telemetry/system_stats.h"

#include <gtest/gtest.h>

#include <map>

#include "base/file.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

class Zones {
 public:
  void set(const std::string& zone, const std::string& file, const std::string& text) {
    borealis::create_directories(folder_.path() / zone);
    write_file_atomically(folder_.path() / zone / file, text + "\n");
  }
  const std::filesystem::path& root() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

TEST(PowerMeter, AddsUpThePackages) {
  Zones zones;
  const std::map<std::string, std::string> names = {{"intel-rapl:0", "package-0"},
                                                    {"intel-rapl:1", "package-1"},
                                                    {"intel-rapl:2", "psys"},  // with all of them
                                                    {"intel-rapl:0:0", "core"},
                                                    {"dtpm", "package-0"}};
  for (const auto& [zone, name] : names) {
    zones.set(zone, "name", name);
    zones.set(zone, "max_energy_range_uj", "1000000000");
    zones.set(zone, "energy_uj", "5000000");
  }
  PowerMeter meter(zones.root());
  zones.set("intel-rapl:0", "energy_uj", "8000000");
  zones.set("intel-rapl:1", "energy_uj", "7000000");
  zones.set("intel-rapl:0:0", "energy_uj", "99000000");  // a part of package 0
  zones.set("intel-rapl:2", "energy_uj", "99000000");
  EXPECT_DOUBLE_EQ(meter.joules().value(), 5);
  zones.set("intel-rapl:1", "energy_uj", "1000000");  // beyond its range
  EXPECT_DOUBLE_EQ(meter.joules().value(), 994);
}

TEST(PowerMeter, SaysNothingWithoutCounters) {
  EXPECT_FALSE(PowerMeter("/nowhere").joules());
  Zones zones;
  zones.set("intel-rapl:0", "name", "package-0");
  zones.set("intel-rapl:0", "max_energy_range_uj", "1000");
  EXPECT_FALSE(PowerMeter(zones.root()).joules());
  zones.set("intel-rapl:0", "energy_uj", "10");
  PowerMeter meter(zones.root());
  std::filesystem::remove(zones.root() / "intel-rapl:0/energy_uj");
  EXPECT_FALSE(meter.joules());
}

TEST(SystemStats, SeesThisProcess) {
  SystemStats stats;
  volatile double sum = 0;
  for (int i = 0; i < 20'000'000; ++i) sum = sum + i;
  std::map<std::string, double> sample;
  for (const auto& [name, value] : stats.sample()) sample[name] = value;
  EXPECT_GT(sample.at("cpu"), 0);
  EXPECT_LE(sample.at("cpu"), 150);  // clocks are not that exact
  EXPECT_GT(sample.at("memory_percent"), 0);
  EXPECT_LT(sample.at("memory_percent"), 100);
  EXPECT_GT(sample.at("proc.memory.rssMB"), 0);
  EXPECT_GT(sample.at("proc.memory.availableMB"), 0);
}

}  // namespace
}  // namespace borealis
