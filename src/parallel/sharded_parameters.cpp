#include "parallel/sharded_parameters.h"

#include <span>
#include <vector>

#include "parallel/device_exchange.h"

namespace borealis {
namespace {

constexpr const char* kGathering = "gathering weights";

}  // namespace

ShardedParameters::ShardedParameters(Communicator& ranks, const ParameterBuffers& parameters,
                                     const Partition& partition, const Partition& secondary,
                                     const SumBuffers& buffers, Device& device,
                                     GroupExchange* joined)
    : ranks_(ranks),
      parameters_(parameters),
      partition_(partition),
      buffers_(buffers),
      device_(device),
      joined_(joined),
      gradients_(ranks, parameters, partition, buffers, device, joined) {
  if (parameters.weights_are_sharded()) {
    weights_.emplace(ranks, parameters, partition, secondary, joined);
  }
}

void ShardedParameters::observe(const ExchangeObserver& observer) {
  observer_ = observer;
  if (weights_) weights_->observe(observer);
}

void ShardedParameters::finish_gradients() {
  gradients_.finish();
  tell(gradients_.take_spans());
  if (weights_) weights_->all_is_done();
}

void ShardedParameters::begin() {
  if (!weights_) return;
  // Of passes that leave no gradients nobody else waits for what was gathered.
  if (joined_ != nullptr && !gradients_.has_begun()) {
    tell(joined_->wait());
    weights_->all_is_done();
  }
  weights_->begin();
}

// Of devices the host cannot tell whether it waits for others or for its own's computing.
void ShardedParameters::hold(size_t unit, Hold what) {
  double of_device_ms = 0;
  const TimedScope timed(joined_ == nullptr ? waited_ms_ : of_device_ms);
  if (weights_ && what != Hold::kGradients) weights_->hold(unit);
  if (what != Hold::kWeights) gradients_.hold(unit);
}

void ShardedParameters::release(size_t unit, Hold what) {
  const TimedScope timed(waited_ms_);
  if (weights_ && what != Hold::kGradients) weights_->release(unit);
  if (what != Hold::kWeights) gradients_.hand_on(unit);
}

// The bytes that are received.
int64_t ShardedParameters::gather_into_flat_buffer(size_t unit) {
  const UnitCut& cut = partition_.cuts()[unit];
  const auto width = static_cast<int64_t>(dtype_bytes(parameters_.dtype));
  auto* weights = parameters_.weights_as<std::byte>();
  if (!device_.is_host()) {
    return gather_on_device(ranks_, device_, weights + cut.offset * width, cut, width, buffers_);
  }
  const auto part = [&](int64_t r) {
    return std::span<std::byte>(weights + (cut.offset + cut.begin(r)) * width,
                                static_cast<size_t>(cut.size(r) * width));
  };
  const std::vector<std::span<const std::byte>> mine(static_cast<size_t>(ranks_.size()),
                                                     part(ranks_.rank()));
  std::vector<std::span<std::byte>> all;
  for (int64_t r = 0; r < ranks_.size(); ++r) all.push_back(part(r));
  ranks_.start_exchange_bytes(mine, all, kGathering).wait();
  return (cut.elements - cut.size(ranks_.rank())) * width;
}

void ShardedParameters::gather_on_devices() {
  const auto width = static_cast<int64_t>(dtype_bytes(parameters_.dtype));
  for (const UnitCut& cut : partition_.cuts()) {
    std::byte* const unit = parameters_.weights_as<std::byte>() + cut.offset * width;
    joined_->queue_gather(unit + cut.begin(ranks_.rank()) * width, unit, cut, width);
  }
  tell(joined_->wait());
}

void ShardedParameters::tell(const std::vector<ExchangeSpan>& spans) const {
  for (const ExchangeSpan& span : spans) {
    if (observer_) observer_(span);
  }
}

void ShardedParameters::share_weights() {
  if (partition_.shards() == 1) return;
  if (weights_) {
    weights_->forget();
    return;
  }
  if (joined_ != nullptr) {
    gather_on_devices();
    return;
  }
  for (size_t unit = 0; unit < partition_.cuts().size(); ++unit) {
    ExchangeSpan span{.what = Exchange::kWeights,
                      .begin = ExchangeSpan::Clock::now(),
                      .end = {},
                      .received_bytes = gather_into_flat_buffer(unit)};
    span.end = ExchangeSpan::Clock::now();
    if (observer_) observer_(span);
  }
}

}  // namespace borealis
