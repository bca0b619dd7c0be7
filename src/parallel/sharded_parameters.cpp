#include "parallel/sharded_parameters.h"

#include "parallel/device_exchange.h"

namespace borealis {

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
  } else if (partition.shards() > 1 && (device.is_host() || joined != nullptr)) {
    updated_.emplace(ranks, parameters, partition, joined);
  }
}

void ShardedParameters::observe(const ExchangeObserver& observer) {
  observer_ = observer;
  if (weights_) weights_->observe(observer);
  if (updated_) updated_->observe(observer);
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
  if (updated_ && what != Hold::kGradients) updated_->hold(unit);
  if (what != Hold::kWeights) gradients_.hold(unit);
}

void ShardedParameters::release(size_t unit, Hold what) {
  const TimedScope timed(waited_ms_);
  if (weights_ && what != Hold::kGradients) weights_->release(unit);
  if (what != Hold::kWeights) gradients_.hand_on(unit);
}

void ShardedParameters::tell(const std::vector<ExchangeSpan>& spans) const {
  for (const ExchangeSpan& span : spans) {
    if (observer_) observer_(span);
  }
}

void ShardedParameters::gather_through_hosts() {
  const auto width = static_cast<int64_t>(dtype_bytes(parameters_.dtype));
  for (const UnitCut& cut : partition_.cuts()) {
    ExchangeSpan span{.what = Exchange::kWeights, .begin = ExchangeSpan::Clock::now(), .end = {}};
    span.received_bytes =
        gather_on_device(ranks_, device_, parameters_.weights_as<std::byte>() + cut.offset * width,
                         cut, width, buffers_);
    span.end = ExchangeSpan::Clock::now();
    tell({span});
  }
}

void ShardedParameters::share_weights() {
  if (partition_.shards() == 1) return;
  if (weights_) {
    weights_->forget();
  } else if (updated_) {
    updated_->gather();
  } else {
    gather_through_hosts();
  }
}

void ShardedParameters::finish_weights() {
  if (!updated_) return;
  updated_->hold_all();
  if (joined_ != nullptr) tell(joined_->wait());
}

}  // namespace borealis
