// What a pass over a model needs of its parameters' memory, unit by unit. Where a rank has all
// weights and gradients for itself it asks for nothing; where they are sharded (ZeRO, Rajbhandari
// et al. 2020) a unit's weights are gathered before they are used, and its gradients handed on
// afterwards.
#pragma once

#include <cstddef>
#include <utility>

namespace borealis {

enum class Hold { kWeights, kGradients, kBoth };

class UnitFlow {
 public:
  virtual ~UnitFlow() = default;

  // A micro-batch begins: its holds follow in the order of every micro-batch, some perhaps left out
  // at its end.
  virtual void begin() = 0;
  // From now on until release() the unit's weights are whole, or its gradients may be written,
  // which release() hands on; `unit`: its number in the parameter table. A pass may hold several.
  virtual void hold(size_t unit, Hold what) = 0;
  virtual void release(size_t unit, Hold what) = 0;
  // Whether gradients are handed on: then every micro-batch replaces them, and what is added to is
  // to be cleared when the hold begins.
  virtual bool hands_gradients_on() const = 0;
  // How long calls have waited for other ranks, since the beginning.
  virtual double waited_ms() const = 0;
};

class HeldUnit {
 public:
  // `flow` may be null: nothing has to be done.
  HeldUnit(UnitFlow* flow, size_t unit, Hold what) : flow_(flow), unit_(unit), what_(what) {
    if (flow_ != nullptr) flow_->hold(unit, what);
  }
  HeldUnit(HeldUnit&& other) noexcept
      : flow_(std::exchange(other.flow_, nullptr)), unit_(other.unit_), what_(other.what_) {}
  HeldUnit(const HeldUnit&) = delete;
  HeldUnit& operator=(const HeldUnit&) = delete;
  // By name, since it talks to other ranks, which may fail; an exception ends the job anyway (D18).
  void release() {
    if (UnitFlow* flow = std::exchange(flow_, nullptr)) flow->release(unit_, what_);
  }

 private:
  UnitFlow* flow_;
  size_t unit_;
  Hold what_;
};

}  // namespace borealis
