// What the card does meanwhile, by NVML, which is loaded where there is one: clocks and power
// decide how fast products are, and no figure means much without them.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace borealis::cuda {

class GpuWatch {
 public:
  // pci_bus_id: as CUDA names the device. Looks at it several times a second, from now on.
  explicit GpuWatch(const std::string& pci_bus_id);
  ~GpuWatch();
  GpuWatch(const GpuWatch&) = delete;
  GpuWatch& operator=(const GpuWatch&) = delete;

  // Medians so far: "driver 580.159, 1455 MHz, 692 of 700 W, 74 C"; empty without NVML.
  std::string text() const;

 private:
  struct Sample {
    unsigned clock_mhz, power_mw, temperature_c;
  };
  struct Library;
  void watch();

  Library* library_ = nullptr;
  void* device_ = nullptr;
  std::string driver_;
  unsigned power_limit_mw_ = 0;
  mutable std::mutex mutex_;
  std::vector<Sample> samples_;  // guarded
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

}  // namespace borealis::cuda
