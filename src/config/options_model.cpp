// Rows of the contract: the model's shape, its numerics and its initialisation.
#include "config/option_limits.h"
#include "config/option_store.h"

namespace borealis {
namespace {

constexpr double kMaxHidden = 262'144;  // the reference's truncated init std is 0 above 400 000
constexpr double kMaxFfn = 16'777'216;
constexpr double kMaxSeqLength = 16'777'216;
constexpr std::string_view kOfModel = "of the model";

void store_init_style(RunConfig& run, const OptionValue& value) {
  run.model.init_style =
      std::get<std::string>(value) == "meant" ? InitStyle::kMeant : InitStyle::kAsRun;
}

void store_dtype(RunConfig& run, const OptionValue& value) {
  run.dtype = std::get<std::string>(value) == "fp32" ? DType::kF32 : DType::kBF16;
}

std::vector<OptionRow> shape_rows() {
  return {
      {.variable = "MODEL_ARCH",
       .flags = {"--model-arch"},
       .default_note = "borealis-small",
       .help = "name of a known architecture (listed below; case matters), or a folder with a "
               "Hugging Face config.json"},
      {.variable = "NLAYERS",
       .aliases = {"NUM_LAYERS"},
       .flags = {"--num-layers"},
       .type = OptionType::kInteger,
       .default_note = kOfModel,
       .help = "transformer layers",
       .store = store<&RunConfig::model, &ModelConfig::num_hidden_layers>,
       .minimum = 1,
       .maximum = kMaxLayers},
      {.variable = "HIDDEN",
       .flags = {"--hidden-size"},
       .type = OptionType::kInteger,
       .default_note = kOfModel,
       .help = "width of the residual stream",
       .store = store<&RunConfig::model, &ModelConfig::hidden_size>,
       .minimum = 1,
       .maximum = kMaxHidden},
      {.variable = "HEADS",
       .aliases = {"NHEADS"},
       .flags = {"--num-attention-heads"},
       .type = OptionType::kInteger,
       .default_note = kOfModel,
       .help = "query heads",
       .store = store<&RunConfig::model, &ModelConfig::num_attention_heads>,
       .minimum = 1,
       .maximum = kMaxHidden},
      {.variable = "NUM_KV_HEAD",
       .flags = {"--num-key-value-heads"},
       .type = OptionType::kInteger,
       .default_note = kOfModel,
       .help = "key/value heads; the query heads are divided among them",
       .store = store<&RunConfig::model, &ModelConfig::num_key_value_heads>,
       .minimum = 1,
       .maximum = kMaxHidden},
      {.flags = {"--kv-channels"},
       .type = OptionType::kInteger,
       .default_note = "HIDDEN / HEADS",
       .help = "width of one head",
       .store = store<&RunConfig::model, &ModelConfig::head_dim>,
       .minimum = 2,
       .maximum = 4096},
      {.variable = "FFN_HIDDEN_SIZE",
       .flags = {"--ffn-hidden-size"},
       .type = OptionType::kInteger,
       .default_note = kOfModel,
       .help = "width of the SwiGLU feed-forward layer",
       .store = store<&RunConfig::model, &ModelConfig::intermediate_size>,
       .minimum = 1,
       .maximum = kMaxFfn},
      {.variable = "SEQ",
       .flags = {"--seq-length"},
       .type = OptionType::kInteger,
       .default_note = kOfModel,
       .help = "tokens in a training sequence",
       .store = store<&RunConfig::batch, &BatchConfig::seq_length>,
       .minimum = 2,
       .maximum = kMaxSeqLength},
      {.flags = {"--vocab-size"},
       .type = OptionType::kInteger,
       .default_note = "the tokenizer's",
       .help = "vocabulary before padding to a multiple of 128 x TP",
       .minimum = 2,
       .maximum = kMaxVocab},
  };
}

std::vector<OptionRow> numerics_rows() {
  return {
      {.variable = "ROPE_THETA",
       .flags = {"--rotary-position-embeddings-theta"},
       .type = OptionType::kNumber,
       .default_text = "50000",
       .help = "base of the rotary position embedding",
       .store = store<&RunConfig::model, &ModelConfig::rope_theta>,
       .minimum = 1},
      {.flags = {"--no-rope-layer-interval"},
       .type = OptionType::kInteger,
       .default_text = "0",
       .help = "every such layer has no position embedding (4: layers 3, 7, ...); 0: all have one",
       .minimum = 0,
       .maximum = kMaxLayers,
       .ours = true},
      {.flags = {"--rms-norm-eps"},
       .type = OptionType::kNumber,
       .default_text = "1e-5",
       .help = "epsilon of RMSNorm",
       .store = store<&RunConfig::model, &ModelConfig::rms_norm_eps>,
       .minimum = 0,
       .ours = true},
      {.flags = {"--tie-word-embeddings"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "the output head is the embedding matrix",
       .store = store<&RunConfig::model, &ModelConfig::tie_word_embeddings>,
       .ours = true},
      {.flags = {"--untie-embeddings-and-output-weights"},
       .type = OptionType::kSwitch,
       .default_note = "of the model",
       .help = "the output head has its own matrix"},
      {.variable = "DTYPE",
       .flags = {"--dtype"},
       .type = OptionType::kChoice,
       .default_text = "bf16",
       .help = "bf16 (fp32 accumulation, gradients and master weights) or fp32 throughout",
       .store = store_dtype,
       .choices = {"bf16", "fp32", "fp16"},
       .accepted = {"bf16", "fp32"},
       .not_yet = "half precision is not available; use bf16 or fp32"},
      {.flags = {"--init"},
       .type = OptionType::kChoice,
       .default_text = "as-run",
       .help = "initial weights: as-run (what the reference really does) or meant (what its flags "
               "ask for: embedding std sqrt(2/5), exact std elsewhere)",
       .store = store_init_style,
       .choices = {"as-run", "meant"},
       .ours = true},
      {.flags = {"--init-method-std"},
       .type = OptionType::kNumber,
       .default_note = "sqrt(2/(5 HIDDEN)), as --init says",
       .help = "standard deviation of the initial input-side weights",
       .store = store<&RunConfig::model, &ModelConfig::init_method_std>,
       .minimum = 0,
       .maximum = 100},
      {.variable = "NO_LLAMA",
       .type = OptionType::kAnyValue,
       .help = "the GPT-2 block instead of the Llama block",
       .not_yet = "the GPT-2 block is not available; unset it"},
      {.variable = "NO_FLASH_ATTN",
       .type = OptionType::kAnyValue,
       .help = "drops `_flash` from the run's name; attention is exact either way"},
      {.variable = "USE_ACTIVATION_CHECKPOINTING",
       .flags = {"--checkpoint-activations", "--deepspeed-activation-checkpointing"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "recompute activations in the backward pass instead of keeping them",
       .store = store<&RunConfig::recompute, &RecomputeConfig::enabled>},
      {.variable = "ACT_CKPT_NUM_LAYERS",
       .flags = {"--checkpoint-num-layers"},
       .type = OptionType::kInteger,
       .default_text = "1",
       .help = "layers recomputed together",
       .store = store<&RunConfig::recompute, &RecomputeConfig::layers_per_segment>,
       .minimum = 1,
       .maximum = kMaxLayers},
  };
}

}  // namespace

OptionGroup model_options() {
  OptionGroup group{.title = "Model", .rows = shape_rows()};
  for (OptionRow& row : numerics_rows()) group.rows.push_back(std::move(row));
  return group;
}

}  // namespace borealis
