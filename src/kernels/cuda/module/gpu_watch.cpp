#include "kernels/cuda/module/gpu_watch.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace borealis::cuda {
namespace {

constexpr std::chrono::milliseconds kPause(100);
constexpr int kSmClock = 1;      // NVML_CLOCK_SM
constexpr int kTemperature = 0;  // NVML_TEMPERATURE_GPU

template <typename T>
T median(std::vector<T> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

// NVML's calls, which return 0 where they succeed.
struct GpuWatch::Library {
  int (*init)() = nullptr;
  int (*device_by_bus)(const char*, void**) = nullptr;
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*clock)(void*, int, unsigned*) = nullptr;
  int (*power)(void*, unsigned*) = nullptr;
  int (*power_limit)(void*, unsigned*) = nullptr;
  int (*temperature)(void*, int, unsigned*) = nullptr;

  // Null where there is none; it stays until the program ends.
  static Library* load() {
    void* module = ::dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) return nullptr;
    static Library library;
    const auto find = [&](auto& call, const char* name) {
      call = reinterpret_cast<std::remove_reference_t<decltype(call)>>(::dlsym(module, name));
      return call != nullptr;
    };
    const bool complete = find(library.init, "nvmlInit_v2") &&
                          find(library.device_by_bus, "nvmlDeviceGetHandleByPciBusId_v2") &&
                          find(library.driver_version, "nvmlSystemGetDriverVersion") &&
                          find(library.clock, "nvmlDeviceGetClockInfo") &&
                          find(library.power, "nvmlDeviceGetPowerUsage") &&
                          find(library.power_limit, "nvmlDeviceGetEnforcedPowerLimit") &&
                          find(library.temperature, "nvmlDeviceGetTemperature");
    return complete && library.init() == 0 ? &library : nullptr;
  }
};

GpuWatch::GpuWatch(const std::string& pci_bus_id) : library_(Library::load()) {
  if (library_ == nullptr || library_->device_by_bus(pci_bus_id.c_str(), &device_) != 0) {
    library_ = nullptr;
    return;
  }
  std::array<char, 96> driver{};
  if (library_->driver_version(driver.data(), driver.size()) == 0) driver_ = driver.data();
  library_->power_limit(device_, &power_limit_mw_);
  thread_ = std::thread([this] { watch(); });
}

GpuWatch::~GpuWatch() {
  ended_ = true;
  if (thread_.joinable()) thread_.join();
}

void GpuWatch::watch() {
  while (!ended_) {
    Sample sample{};
    if (library_->clock(device_, kSmClock, &sample.clock_mhz) == 0 &&
        library_->power(device_, &sample.power_mw) == 0 &&
        library_->temperature(device_, kTemperature, &sample.temperature_c) == 0) {
      const std::lock_guard lock(mutex_);
      samples_.push_back(sample);
    }
    std::this_thread::sleep_for(kPause);
  }
}

std::string GpuWatch::text() const {
  if (library_ == nullptr) return "";
  const std::lock_guard lock(mutex_);
  if (samples_.empty()) return fmt::format("driver {}", driver_);
  const auto of = [this](unsigned Sample::*field) {
    std::vector<unsigned> values;
    for (const Sample& sample : samples_) values.push_back(sample.*field);
    return median(std::move(values));
  };
  return fmt::format("driver {}, {} MHz, {} of {} W, {} C (medians)", driver_,
                     of(&Sample::clock_mhz), of(&Sample::power_mw) / 1000, power_limit_mw_ / 1000,
                     of(&Sample::temperature_c));
}

}  // namespace borealis::cuda
