#include "planner/communication.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.h"
#include "model/accounting.h"

namespace borealis {
namespace {

enum class UnitKind { kEmbedding, kLayer, kHead };

// A unit's turn in the passes of a micro-batch.
struct Visit {
  UnitKind kind = UnitKind::kLayer;
  int64_t layer = 0;
  double compute_s = 0;
  bool uses_weights = true;
  double reduce_bytes = 0;  // of gradients that are complete behind it
};

// Bytes and seconds of the units, and the visits that a micro-batch makes of them.
class PassPlan {
 public:
  PassPlan(const StepShape& shape, double passes_s) : shape_(shape) {
    const ModelConfig& model = shape.model;
    const PassWork layer = layer_work(shape, TrainingStack::kBorealis);
    const PassWork head = head_work(shape, TrainingStack::kBorealis);
    const auto layers = static_cast<double>(model.num_hidden_layers);
    const double again = recomputed_layers(shape, TrainingStack::kBorealis);
    const double forward = layer.flops() / 3;
    const double all = layers * layer.flops() + again * forward + head.flops();
    const double micro_batch_s = passes_s / static_cast<double>(shape.grad_accum_steps);
    forward_s_ = micro_batch_s * forward / all;
    head_s_ = micro_batch_s * head.flops() / all;
    head_elements_ = static_cast<double>(model.vocab_size * model.hidden_size);
    // Norms are little; they are counted with the layers.
    const double heads = model.tie_word_embeddings ? 1 : 2;
    layer_elements_ =
        (static_cast<double>(parameter_count(model)) - heads * head_elements_) / layers;
  }

  double elements(UnitKind kind) const {
    return kind == UnitKind::kLayer ? layer_elements_ : head_elements_;
  }

  // The rows of the embedding that all tokens of a step can touch, if that is not the whole.
  bool keeps_rows() const {
    return !shape_.model.tie_word_embeddings && touched_rows() < shape_.model.vocab_size;
  }
  double row_elements() const {
    return static_cast<double>(touched_rows() * shape_.model.hidden_size);
  }

  std::vector<Visit> visits(bool is_last) const {
    const double width = static_cast<double>(dtype_bytes(shape_.grad_reduce_dtype));
    const bool reduces = is_last || shape_.zero_stage >= 2;
    const double layer_bytes = reduces ? width * layer_elements_ : 0;
    const double head_bytes = reduces ? width * head_elements_ : 0;
    const bool tied = shape_.model.tie_word_embeddings;
    const int64_t layers = shape_.model.num_hidden_layers;
    std::vector<Visit> visits;
    visits.push_back({.kind = UnitKind::kEmbedding});
    for (int64_t l = 0; l < layers; ++l) visits.push_back({.layer = l, .compute_s = forward_s_});
    visits.push_back(
        {.kind = UnitKind::kHead, .compute_s = head_s_, .reduce_bytes = tied ? 0 : head_bytes});
    const int64_t segment = shape_.recompute_segment;
    for (int64_t l = layers - 1; l >= 0; --l) {
      // The last segment still has its activations.
      if (segment > 0 && l != layers - 1 && (l + 1) % segment == 0) {
        for (int64_t again = l + 1 - segment; again <= l; ++again) {
          visits.push_back({.layer = again, .compute_s = forward_s_});
        }
      }
      visits.push_back({.layer = l, .compute_s = 2 * forward_s_, .reduce_bytes = layer_bytes});
    }
    if (!keeps_rows()) {
      visits.push_back(
          {.kind = UnitKind::kEmbedding, .uses_weights = false, .reduce_bytes = head_bytes});
    }
    return visits;
  }

 private:
  int64_t touched_rows() const {
    const auto tokens = static_cast<int64_t>(shape_.tokens()) * shape_.ranks();
    return std::min(shape_.model.vocab_size, tokens);
  }

  const StepShape& shape_;
  double forward_s_ = 0, head_s_ = 0;  // of a layer, and of the head in both directions
  double layer_elements_ = 0, head_elements_ = 0;
};

// The passes and the link beside each other, from the first of some micro-batches to the last sum.
class Timeline {
 public:
  Timeline(const StepShape& shape, const Links& links, const PassPlan& plan)
      : shape_(shape), links_(links), plan_(plan) {}

  double exposed_seconds(int64_t micro_batches) {
    if (shape_.zero_stage == 1 || shape_.zero_stage == 2) gather_behind_update();
    const std::vector<Visit> earlier = plan_.visits(false), last = plan_.visits(true);
    for (int64_t g = 1; g <= micro_batches; ++g) {
      const std::vector<Visit>& visits = g == micro_batches ? last : earlier;
      double gathered_s = gather(visits.front());
      for (size_t i = 0; i < visits.size(); ++i) {
        passes_end_s_ = std::max({passes_end_s_, gathered_s, updated_s(visits[i])});
        // The next one's weights are asked for now, before this one's gradients are complete.
        if (i + 1 < visits.size()) gathered_s = gather(visits[i + 1]);
        passes_end_s_ += visits[i].compute_s;
        computed_s_ += visits[i].compute_s;
        if (visits[i].reduce_bytes > 0) occupy(reduce_seconds(visits[i].reduce_bytes));
      }
    }
    // Every rank keeps the rows' sums.
    if (plan_.keeps_rows()) {
      occupy(all_reduce(static_cast<double>(dtype_bytes(DType::kF32)) * plan_.row_elements()));
    }
    return std::max(passes_end_s_, link_free_s_) - computed_s_;
  }

 private:
  double all_reduce(double bytes) const {
    return all_reduce_seconds(links_, bytes, shape_.hosts, shape_.ranks_per_host);
  }
  double reduce_seconds(double bytes) const {
    return shape_.zero_stage == 0 ? all_reduce(bytes) : all_reduce(bytes) / 2;
  }

  // From when the passes are where they are now; returns when it is done.
  double occupy(double seconds) {
    link_free_s_ = std::max(link_free_s_, passes_end_s_) + seconds;
    return link_free_s_;
  }

  // Of the update before the step, in the order of the forward pass.
  void gather_behind_update() {
    const auto gathered_s = [this](UnitKind kind) {
      return occupy(all_reduce(weight_bytes(kind)) / 2);
    };
    embedding_updated_s_ = gathered_s(UnitKind::kEmbedding);
    for (double& layer_s : layers_updated_s_) layer_s = gathered_s(UnitKind::kLayer);
    head_updated_s_ = shape_.model.tie_word_embeddings ? 0 : gathered_s(UnitKind::kHead);
  }
  double updated_s(const Visit& visit) const {
    switch (visit.kind) {
      case UnitKind::kEmbedding:
        return embedding_updated_s_;
      case UnitKind::kLayer:
        return layers_updated_s_[static_cast<size_t>(visit.layer)];
      case UnitKind::kHead:
        break;
    }
    return head_updated_s_;
  }

  double weight_bytes(UnitKind kind) const {
    return static_cast<double>(dtype_bytes(shape_.dtype)) * plan_.elements(kind);
  }

  // When the visit's weights are there, that are asked for now (ZeRO 3).
  double gather(const Visit& visit) {
    if (shape_.zero_stage < 3 || !visit.uses_weights) return 0;
    const bool is_layer = visit.kind == UnitKind::kLayer;
    // Two places of layers, and one of the embedding or the head, which may be the same.
    int64_t& place = places_[is_layer ? static_cast<size_t>(visit.layer % 2) : 2];
    const bool is_head = visit.kind == UnitKind::kHead && !shape_.model.tie_word_embeddings;
    const int64_t unit = is_layer ? visit.layer : int64_t{is_head};
    if (place == unit) return 0;
    place = unit;
    const double bytes = weight_bytes(visit.kind);
    std::vector<bool>& known = is_layer ? known_layers_ : known_heads_;
    const auto index = static_cast<size_t>(unit);
    const bool within_host = shape_.zero_hpz_partition_size > 1 && known[index];
    known[index] = true;
    if (!within_host) return occupy(all_reduce(bytes) / 2);
    return occupy(all_reduce_seconds(links_, bytes, 1, shape_.zero_hpz_partition_size) / 2);
  }

  const StepShape& shape_;
  const Links& links_;
  const PassPlan& plan_;
  double passes_end_s_ = 0, computed_s_ = 0, link_free_s_ = 0;
  // When weights are whole behind the update (ZeRO 1 and 2).
  double embedding_updated_s_ = 0, head_updated_s_ = 0;
  std::vector<double> layers_updated_s_ =
      std::vector<double>(static_cast<size_t>(shape_.model.num_hidden_layers));
  std::array<int64_t, 3> places_ = {-1, -1, -1};
  // Units that have been gathered since the last update.
  std::vector<bool> known_layers_ =
      std::vector<bool>(static_cast<size_t>(shape_.model.num_hidden_layers));
  std::vector<bool> known_heads_ = std::vector<bool>(2);
};

// Of many micro-batches all but the first few are alike.
double exposed_seconds(const StepShape& shape, const Links& links, double passes_s) {
  constexpr int64_t kMostSimulated = 8;
  const PassPlan plan(shape, passes_s);
  const auto of_first = [&](int64_t n) { return Timeline(shape, links, plan).exposed_seconds(n); };
  const int64_t micro_batches = std::min(shape.grad_accum_steps, kMostSimulated);
  const double simulated = of_first(micro_batches);
  if (micro_batches == shape.grad_accum_steps) return simulated;
  return simulated + static_cast<double>(shape.grad_accum_steps - micro_batches) *
                         (simulated - of_first(micro_batches - 1));
}

double sequence_exchange_seconds(const StepShape& shape, TrainingStack stack, const Links& links) {
  if (shape.sequence_parallel_size == 1) return 0;
  const ModelConfig& model = shape.model;
  const double width = shape.micro_batch_tokens() * static_cast<double>(dtype_bytes(shape.dtype));
  const auto exchange = [&](int64_t elements) {
    return exchange_seconds(links, width * static_cast<double>(elements),
                            shape.sequence_parallel_size, shape.ranks_per_host);
  };
  const double both =
      exchange(model.query_size() + 2 * model.key_value_size()) + exchange(model.query_size());
  const double passes =
      2 * static_cast<double>(model.num_hidden_layers) + recomputed_layers(shape, stack);
  return static_cast<double>(shape.grad_accum_steps) * passes * both;
}

}  // namespace

std::string_view all_reduce_name(AllReduce kind) {
  switch (kind) {
    case AllReduce::kFlat:
      return "flat";
    case AllReduce::kRing:
      return "ring";
    case AllReduce::kHierarchical:
      break;
  }
  return "hierarchical";
}

double all_reduce_seconds(const Links& links, double bytes, int64_t hosts, int64_t ranks_per_host) {
  CHECK(hosts > 0 && ranks_per_host > 0);
  const auto n = static_cast<double>(hosts), r = static_cast<double>(ranks_per_host);
  const double ranks = n * r;
  if (ranks == 1) return 0;
  const auto passed_on = [bytes](double members, double bytes_per_s, double latency_s) {
    if (members == 1) return 0.0;
    return 2 * (members - 1) * (bytes / members / bytes_per_s + latency_s);
  };
  if (links.all_reduce == AllReduce::kHierarchical) {
    return passed_on(r, links.within_host_bytes_per_s, links.within_host_latency_s) +
           passed_on(n, links.between_hosts_bytes_per_s, links.between_hosts_latency_s);
  }
  double bytes_per_s = links.within_host_bytes_per_s;
  double latency_s = links.within_host_latency_s;
  if (hosts > 1) {
    bytes_per_s = ranks_per_host > 1 ? std::min(bytes_per_s, links.between_hosts_bytes_per_s)
                                     : links.between_hosts_bytes_per_s;
    latency_s = std::max(latency_s, links.between_hosts_latency_s);
  }
  if (links.all_reduce == AllReduce::kRing) return passed_on(ranks, bytes_per_s, latency_s);
  return 2 * (ranks - 1) * (bytes / bytes_per_s + latency_s);
}

double exchange_seconds(const Links& links, double bytes, int64_t parts, int64_t ranks_per_host) {
  const auto P = static_cast<double>(parts), r = static_cast<double>(ranks_per_host);
  const double on_host = std::min(P, r), elsewhere = P - on_host;
  double seconds = 0;
  if (on_host > 1) {
    seconds +=
        (on_host - 1) * (bytes / P / links.within_host_bytes_per_s + links.within_host_latency_s);
  }
  if (elsewhere > 0) {
    seconds += elsewhere *
               (r * bytes / P / links.between_hosts_bytes_per_s + links.between_hosts_latency_s);
  }
  return seconds;
}

double communication_seconds(const StepShape& shape, TrainingStack stack, const Links& links,
                             double passes_s) {
  if (shape.ranks() == 1) return 0;
  const auto parameters = static_cast<double>(parameter_count(shape.model));
  const auto all_reduce = [&](double bytes) {
    return all_reduce_seconds(links, bytes, shape.hosts, shape.ranks_per_host);
  };
  const double weights = static_cast<double>(dtype_bytes(shape.dtype)) * parameters;
  double seconds = sequence_exchange_seconds(shape, stack, links);
  if (stack == TrainingStack::kBorealis) return seconds + exposed_seconds(shape, links, passes_s);
  seconds += all_reduce(2 * parameters) + all_reduce(weights) / 2;
  if (shape.zero_stage == 3) {
    seconds += static_cast<double>(shape.grad_accum_steps) * all_reduce(weights);
  }
  return seconds;
}

}  // namespace borealis
