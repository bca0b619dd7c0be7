#include "train/setting_changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/json_number.h"
#include "checkpoint/damage.h"
#include "config/lr_decay_style.h"
#include "config/option_limits.h"
#include "config/run_config_json.h"

namespace borealis {
namespace {

using nlohmann::json;

// A setting by its place in the saved configuration, under the name that users know it by.
struct NamedSetting {
  const char* place;  // JSON pointer
  std::string_view name;
};

constexpr const char* kRopeByLayer = "RoPE by layer (--no-rope-layer-interval)";

// What decides which weights there are.
constexpr std::array kShape = {
    NamedSetting{"/num_hidden_layers", "NLAYERS"},
    NamedSetting{"/hidden_size", "HIDDEN"},
    NamedSetting{"/num_attention_heads", "HEADS"},
    NamedSetting{"/num_key_value_heads", "NUM_KV_HEAD"},
    NamedSetting{"/head_dim", "--kv-channels"},
    NamedSetting{"/intermediate_size", "FFN_HIDDEN_SIZE"},
    NamedSetting{"/vocab_size", "the vocabulary"},
    NamedSetting{"/tie_word_embeddings", "--tie-word-embeddings"},
};
// What is computed with them.
constexpr std::array kComputation = {
    NamedSetting{"/rope_theta", "ROPE_THETA"},
    NamedSetting{"/rope_scaling", "the scaling of RoPE"},
    NamedSetting{"/rope_on_layer", kRopeByLayer},
    NamedSetting{"/rms_norm_eps", "--rms-norm-eps"},
};

constexpr std::array kForbidden = {
    NamedSetting{"/batch/seq_length", "SEQ"},
    NamedSetting{"/dtype", "DTYPE"},
    NamedSetting{"/optimizer/name", "OPT"},
    NamedSetting{"/seed", "--seed"},
};

// Those of the command, where they are taken instead of the checkpoint's.
constexpr std::array kOverridden = {
    NamedSetting{"/schedule/learning_rate", "LR"},
    NamedSetting{"/schedule/min_learning_rate", "--min-lr"},
    NamedSetting{"/schedule/warmup_fraction", "LR_WARMUP_FRAC"},
    NamedSetting{"/schedule/decay_iters", "LR_DECAY_ITERS"},
    NamedSetting{"/schedule/decay_style", "LR_DECAY_STYLE"},
    NamedSetting{"/optimizer/weight_decay", "WEIGHT_DECAY"},
};

constexpr std::array kAllowed = {
    NamedSetting{"/model/init_style", "--init (of no effect: the weights are the checkpoint's)"},
    NamedSetting{"/model/init_method_std",
                 "--init-method-std (of no effect: the weights are the checkpoint's)"},
    NamedSetting{"/batch/global_batch_size", "GLOBAL_BATCH"},
    NamedSetting{"/batch/micro_batch_size", "MICRO_BATCH"},
    NamedSetting{"/batch/grad_accum_steps", "GRAD_ACC_STEPS"},
    NamedSetting{"/limits/train_iters", "TRAIN_ITERS"},
    NamedSetting{"/limits/eval_interval", "EVAL_INTERVAL"},
    NamedSetting{"/limits/eval_iters", "EVAL_ITERS"},
    NamedSetting{"/limits/ranges_to_skip", "--train-range-to-skip"},
    NamedSetting{"/limits/forward_only_after", "--train-iters-to-skip"},
    NamedSetting{"/schedule/constant_plus_cooldown", "--lr_constant_plus_cooldown"},
    NamedSetting{"/schedule/constant_plus_cooldown_fraction", "--lr_constant_plus_cooldown_frac"},
    NamedSetting{"/schedule/constant_learning_rate", "--constant-lr"},
    NamedSetting{"/schedule/cooldown_fraction", "--cooldown-fraction"},
    NamedSetting{"/schedule/constant_fraction", "--constant-fraction"},
    NamedSetting{"/optimizer/beta1", "ADAM_BETA1"},
    NamedSetting{"/optimizer/beta2", "ADAM_BETA2"},
    NamedSetting{"/optimizer/eps", "ADAM_EPS"},
    NamedSetting{"/optimizer/max_grad_norm", "CLIP_GRAD"},
    NamedSetting{"/optimizer/loss_mean", "--loss-mean"},
    NamedSetting{"/optimizer/skip_grad_norm_factor", "--skip-grad-norm-factor"},
    NamedSetting{"/optimizer/skip_grad_norm_window", "--skip-grad-norm-window"},
    NamedSetting{"/data/data_file_list", "DATA_FILE_LIST"},
    NamedSetting{"/data/data_path", "DATA_PATH"},
    NamedSetting{"/data/exact_epochs", "--train-data-exact-num-epochs"},
    NamedSetting{"/data/mock_data", "--mock-data"},
    NamedSetting{"/data/split", "--split"},
    NamedSetting{"/data/shuffle_sample_in_corpus", "--shuffle-sample-in-corpus"},
    NamedSetting{"/data/blend_sample_in_corpus", "--blend-sample-in-corpus"},
    NamedSetting{"/data/eod_token", "--eod-token-id"},
    NamedSetting{"/data/eod_mask_loss", "--eod-mask-loss"},
    NamedSetting{"/data/reset_position_ids", "--reset-position-ids"},
    NamedSetting{"/data/reset_attention_mask", "--reset-attention-mask"},
    NamedSetting{"/parallel/grad_reduce_in_bf16", "--grad-reduce-in-bf16"},
    NamedSetting{"/recompute/enabled", "USE_ACTIVATION_CHECKPOINTING"},
    NamedSetting{"/recompute/layers_per_segment", "ACT_CKPT_NUM_LAYERS"},
};

bool has_place(const json& document, const char* place) {
  try {
    return document.contains(json::json_pointer(place));
  } catch (const json::exception&) {  // a list where an object should be
    return false;
  }
}

// null where there is no such place.
json value_at(const json& document, const char* place) {
  return has_place(document, place) ? document.at(json::json_pointer(place)) : json(nullptr);
}

std::string shown(const json& value) {
  if (value.is_null()) return "none";
  return value.is_string() ? value.get<std::string>() : json_excerpt(value);
}

// Of a setting that is not among the saved ones, whose version did not know it, nothing is said
// where it is kOptional.
enum class Unsaved { kDiffers, kOptional };

template <typename Settings, typename Tell>
void for_each_difference(const json& saved, const json& now, const Settings& settings,
                         Unsaved unsaved, Tell tell) {
  for (const NamedSetting& setting : settings) {
    if (unsaved == Unsaved::kOptional && !has_place(saved, setting.place)) continue;
    const json before = value_at(saved, setting.place), after = value_at(now, setting.place);
    if (before != after) tell(setting.name, shown(before), shown(after));
  }
}

auto listing(std::vector<std::string>& list) {
  return [&list](std::string_view name, const std::string& before, const std::string& after) {
    list.push_back(
        fmt::format("{} is {} in this command and {} in the checkpoint", name, after, before));
  };
}

[[noreturn]] void reject(const std::string& path, const char* what) {
  reject_checkpoint(path, fmt::format("configuration.{} is missing or wrong", what));
}

double number_in(const json& schedule, const char* key, const std::string& path) {
  const auto found = schedule.find(key);
  if (found == schedule.end() || !found->is_number()) reject(path, key);
  return found->get<double>();
}

LrDecayStyle style_in(const json& schedule, const std::string& path) {
  const std::string name = shown(schedule.value("decay_style", json(nullptr)));
  if (const auto style = lr_decay_style_of(name)) return *style;
  reject(path, "schedule.decay_style");
}

// The decay length that the run went with.
int64_t decay_iters_in(const json& saved, const std::string& path) {
  json length = value_at(saved, "/schedule/decay_iters");
  if (length.is_null()) length = value_at(saved, "/limits/train_iters");
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  if (const auto steps = whole_number_in(length, 1, kMost)) return *steps;
  reject(path, "schedule.decay_iters");
}

// "[true,false]" and "[true,false,true]": only the number of layers differs, which is told anyway.
bool alike_as_far_as_both_go(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return false;
  const size_t common = std::min(a.size(), b.size()) - 1;
  return a.compare(0, common, b, 0, common) == 0;
}

}  // namespace

json saved_configuration(const RunConfig& config) {
  json all = to_json(config);
  json kept = json::object();
  for (const char* part : {"model", "batch", "schedule", "optimizer", "data", "limits", "recompute",
                           "dtype", "seed"}) {
    kept[part] = std::move(all[part]);
  }
  // Of the ranks nothing but what changes the numbers: any others go on from this.
  constexpr const char* kGradReduce = "grad_reduce_in_bf16";
  kept["parallel"] = {{kGradReduce, all["parallel"][kGradReduce]}};
  // Where things lie on this machine is no part of the state.
  for (const char* key : {"tokenizer_path", "tokenizer_merges_path", "data_cache_path"}) {
    kept["data"].erase(key);
  }
  return kept;
}

ModelDifferences model_differences(const json& saved_model, const ModelConfig& model) {
  RunConfig config;
  config.model = model;
  const json now = to_json(config)["model"];
  ModelDifferences differences;
  for_each_difference(saved_model, now, kShape, Unsaved::kDiffers, listing(differences.shape));
  for_each_difference(
      saved_model, now, kComputation, Unsaved::kDiffers,
      [&](std::string_view name, const std::string& before, const std::string& after) {
        if (name == kRopeByLayer && alike_as_far_as_both_go(before, after)) return;
        listing(differences.computation)(name, before, after);
      });
  return differences;
}

SettingChanges setting_changes(const json& saved, const RunConfig& config) {
  SettingChanges changes;
  auto [shape, computation] = model_differences(value_at(saved, "/model"), config.model);
  changes.forbidden = std::move(shape);
  std::ranges::move(computation, std::back_inserter(changes.forbidden));
  const json now = saved_configuration(config);
  for_each_difference(saved, now, kForbidden, Unsaved::kDiffers, listing(changes.forbidden));
  const auto allow = [&](std::string_view name, const std::string& before,
                         const std::string& after) {
    changes.allowed.push_back(fmt::format("{} {} -> {}", name, before, after));
  };
  for_each_difference(saved, now, kAllowed, Unsaved::kOptional, allow);
  if (config.checkpoint.override_schedule) {
    for_each_difference(saved, now, kOverridden, Unsaved::kOptional, allow);
  }
  return changes;
}

std::vector<std::string> take_saved_schedule(const json& saved, const std::string& path,
                                             RunConfig& config, DecaySteps steps) {
  const json schedule = value_at(saved, "/schedule"), optimizer = value_at(saved, "/optimizer");
  if (!schedule.is_object()) reject(path, "schedule");
  if (!optimizer.is_object()) reject(path, "optimizer");
  std::vector<std::string> lines;
  const auto take = [&lines](std::string_view name, auto& setting, auto before) {
    if (setting == before) return;
    lines.push_back(
        fmt::format("{}={} is not used, the checkpoint's {} goes on", name, setting, before));
    setting = before;
  };
  const double rate = number_in(schedule, "learning_rate", path);
  const double least = number_in(schedule, "min_learning_rate", path);
  const double warmup = number_in(schedule, "warmup_fraction", path);
  const double decay = number_in(optimizer, "weight_decay", path);
  if (!(rate >= 0 && rate <= kMaxRate && least >= 0 && least <= rate)) {
    reject(path, "schedule.learning_rate or schedule.min_learning_rate");
  }
  if (!(warmup >= 0 && warmup < 1)) reject(path, "schedule.warmup_fraction");
  if (!(decay >= 0 && decay <= kMaxRate)) reject(path, "optimizer.weight_decay");
  ScheduleConfig& now = config.schedule;
  take("LR", now.learning_rate, rate);
  take("--min-lr", now.min_learning_rate, least);
  take("LR_WARMUP_FRAC", now.warmup_fraction, warmup);
  take("WEIGHT_DECAY", config.optimizer.weight_decay, decay);
  const int64_t asked = now.decay_iters.value_or(config.limits.train_iters);
  int64_t decay_iters = asked;
  take("LR_DECAY_ITERS", decay_iters, decay_iters_in(saved, path));
  if (decay_iters != asked) {
    now.decay_iters = decay_iters;
    if (steps == DecaySteps::kOfAnotherBatch) lines.pop_back();
  }
  const LrDecayStyle style = style_in(schedule, path);
  if (style != now.decay_style) {
    lines.push_back(fmt::format("LR_DECAY_STYLE={} is not used, the checkpoint's {} goes on",
                                lr_decay_style_name(now.decay_style), lr_decay_style_name(style)));
    now.decay_style = style;
  }
  return lines;
}

}  // namespace borealis
