// XXH3 of 128 bits (github.com/Cyan4973/xxHash), as the program xxh128sum prints it: finds damaged
// files, at many times the rate of a disk. Not for secrets.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace borealis {

class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(Checksum&&) noexcept;
  Checksum& operator=(Checksum&&) noexcept;

  void add(std::span<const std::byte> bytes);
  std::string hex() const;  // 32 digits, of all that was added

  static constexpr size_t kHexDigits = 32;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace borealis
