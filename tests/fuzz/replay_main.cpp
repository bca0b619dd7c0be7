// Runs a fuzz target without a fuzzer: every seed of the folder as it is, then cut at many places,
// and with bytes and words overwritten, the same damages in every run. What ends the program is
// announced by the seed and the damage that did it.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kPlacesPerSeed = 400;
// Of the damages: where a reader is slow only the first ones.
constexpr auto kBudget = std::chrono::seconds(8);

std::array<char, 512> current;  // what a signal handler may still print

void announce(int signal_number) {
  const ssize_t ignored = ::write(STDERR_FILENO, current.data(), std::strlen(current.data()));
  static_cast<void>(ignored);
  ::signal(signal_number, SIG_DFL);
  ::raise(signal_number);
}

class Replay {
 public:
  void seed(const std::filesystem::path& path) { run(read(path), "as it is", 0); }

  void begin_damages() { start_ = std::chrono::steady_clock::now(); }
  void damages_of(const std::filesystem::path& path) {
    const std::string bytes = read(path);
    const size_t stride = std::max<size_t>(1, bytes.size() / kPlacesPerSeed);
    for (size_t place = 0; place < bytes.size(); place += stride) {
      if (std::chrono::steady_clock::now() - start_ > kBudget) return;
      run(bytes.substr(0, place), "cut at byte", place);
      overwrite(bytes, place);
    }
  }
  int64_t runs() const { return runs_; }

 private:
  std::string read(const std::filesystem::path& path) {
    name_ = path.filename().string();
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void overwrite(const std::string& bytes, size_t place) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[place] = static_cast<char>(damaged[place] ^ flip);
      run(damaged, "a flip at byte", place);
    }
    for (const char fill : {'\x00', '\x7f', '\xff'}) {
      std::string damaged = bytes;
      const size_t count = std::min<size_t>(8, damaged.size() - place);
      std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(place), count, fill);
      run(damaged, "eight bytes overwritten at", place);
    }
    std::string doubled = bytes;
    doubled.insert(place, bytes, place, 16);
    run(doubled, "sixteen bytes doubled at", place);
  }

  void run(const std::string& input, const char* damage, size_t place) {
    std::snprintf(current.data(), current.size(), "\nthis ended it: seed %s, %s %zu\n",
                  name_.c_str(), damage, place);
    // An exact allocation, so that a sanitizer sees a read past its end.
    const std::vector<uint8_t> exact(input.begin(), input.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
    ++runs_;
  }

  std::chrono::steady_clock::time_point start_;  // of the damages
  std::string name_;
  int64_t runs_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER_OF_SEEDS\n", argv[0]);
    return 1;
  }
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) ::signal(number, announce);
  std::vector<std::filesystem::path> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) seeds.push_back(entry);
  std::sort(seeds.begin(), seeds.end());
  if (seeds.empty()) {
    std::fprintf(stderr, "%s has no seeds\n", argv[1]);
    return 1;
  }
  Replay replay;
  for (const auto& path : seeds) replay.seed(path);
  replay.begin_damages();
  for (const auto& path : seeds) replay.damages_of(path);
  if (replay.runs() <= static_cast<int64_t>(seeds.size())) {
    std::fprintf(stderr, "no damage was read within the budget\n");
    return 1;
  }
  std::printf("%lld inputs from %zu seeds\n", static_cast<long long>(replay.runs()), seeds.size());
  return 0;
}
