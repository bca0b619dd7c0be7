#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.h"
#include "device/device.h"

namespace borealis {
namespace {

class HostDevice : public Device {
 public:
  bool is_host() const override { return true; }
  std::string name() const override { return "host"; }
  Memory memory() const override { return {}; }  // base/memory.h has the process's limits
  std::byte* allocate(size_t, const std::string&) override {
    CHECK(false, "the host's memory is a PageBuffer");
    return nullptr;
  }
  void release(std::byte*) noexcept override {}
  void upload(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void clear(void* memory, size_t bytes) override { std::memset(memory, 0, bytes); }
  void wait() override {}
  int64_t mark() override {
    marks_.push_back(Clock::now());
    return std::ssize(marks_) - 1;
  }
  double ms_between(int64_t from, int64_t to) override {
    const Clock::duration took =
        marks_[static_cast<size_t>(to)] - marks_[static_cast<size_t>(from)];
    return std::chrono::duration<double, std::milli>(took).count();
  }
  void forget_marks() override { marks_.clear(); }

 private:
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> marks_;
};

}  // namespace

Device& host_device() {
  static HostDevice host;
  return host;
}

DeviceBuffer::DeviceBuffer(Device& device, size_t bytes, const std::string& name) {
  if (device.is_host()) {
    pages_ = PageBuffer(bytes, name);
    return;
  }
  bytes_ = {bytes == 0 ? nullptr : device.allocate(bytes, name), bytes};
  device_ = &device;
}

DeviceBuffer::~DeviceBuffer() {
  if (device_ != nullptr && bytes_.data() != nullptr) device_->release(bytes_.data());
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : pages_(std::move(other.pages_)),
      device_(std::exchange(other.device_, nullptr)),
      bytes_(std::exchange(other.bytes_, {})) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(pages_, other.pages_);
  std::swap(device_, other.device_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace borealis
