// Everything a run is told: built once by load_run_config (run_config_loader.h) from the
// environment and the flags, derived and validated; ranks, machine and a checkpoint may add to it
// until training starts. A module receives the part that it needs. Names are Hugging Face's for the
// model, Megatron's for the rest; "contract" is the reference trainer's (docs/environment.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace borealis {

// Llama 3.1's frequency scaling of RoPE (HF: rope_scaling with rope_type "llama3").
struct RopeScaling {
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position_embeddings = 8192;
};

enum class InitStyle {
  kAsRun,  // embedding std = init_method_std, as the reference trainer really does
  kMeant,  // embedding std = sqrt(2/5), as its flags ask for
};

struct ModelConfig {
  std::string name;           // as in paths and reports, "llama3-3B-nLayers4"
  std::string hf_model_type;  // "llama" or "smollm3": the class that loads the checkpoint
  std::string note;           // what a report must say of this shape; often empty
  int64_t num_hidden_layers = 0;
  int64_t hidden_size = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t intermediate_size = 0;
  int64_t vocab_size = 0;  // padded; the size of the embedding and of the head
  int64_t max_position_embeddings = 0;
  double rope_theta = 0;
  std::optional<RopeScaling> rope_scaling;
  std::vector<bool> rope_on_layer;  // one a layer; false: no position encoding there (NoPE)
  double rms_norm_eps = 1e-5;
  bool tie_word_embeddings = false;
  InitStyle init_style = InitStyle::kAsRun;
  double init_method_std = 0;  // N(0, std) of input-side weights; output-side / sqrt(2 L)

  int64_t query_size() const { return num_attention_heads * head_dim; }
  int64_t key_value_size() const { return num_key_value_heads * head_dim; }
};

struct BatchConfig {
  int64_t seq_length = 0;
  int64_t micro_batch_size =
      1;  // sequences a rank handles, or its part of, in one forward/backward
  int64_t grad_accum_steps = 1;   // micro-batches per optimizer step
  int64_t global_batch_size = 0;  // sequences per optimizer step over all ranks
};

enum class LrDecayStyle {
  kConstant,
  kLinear,
  kCosine,
  kInverseSquareRoot,
  kInfiniteCosine,
  kInfiniteInverseSquareRoot,
};

// Learning-rate schedule (contract section 4); its unit is samples consumed.
struct ScheduleConfig {
  LrDecayStyle decay_style = LrDecayStyle::kCosine;
  double learning_rate = 2e-4;
  double min_learning_rate = 0;
  double warmup_fraction = 0.05;        // of the decay length
  std::optional<int64_t> decay_iters;   // default: train_iters
  bool constant_plus_cooldown = false;  // --lr_constant_plus_cooldown
  double constant_plus_cooldown_fraction = 0.05;
  double constant_learning_rate = 1.1e-4;  // --constant-lr, infinite styles
  double cooldown_fraction = 0.65;         // infinite styles
  double constant_fraction = 0.001;        // infinite styles
};

// Over what a step's loss is the mean where not every token counts (train/step_loss.h).
enum class LossMean {
  kTokens,
  kMicroBatch,  // as the reference has it
};

struct OptimizerConfig {
  std::string name = "adamw";
  double weight_decay = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-5;
  double max_grad_norm = 1.0;  // CLIP_GRAD; 0 switches clipping off
  LossMean loss_mean = LossMean::kTokens;
  int64_t max_skipped_in_a_row = 20;  // non-finite steps in a row before the run gives up
  // A step whose gradient norm is above this times the median of the norms before it is skipped.
  std::optional<double> skip_grad_norm_factor = {};
  int64_t skip_grad_norm_window = 128;  // how many norms before it
};

struct DataConfig {
  std::string data_file_list;  // the list found for DATA_FILE_LIST; empty with mock_data or if none
  std::string data_path;       // words of DATA_PATH, which replaces the list; empty: not given
  std::string tokenizer_type;  // "HFTokenizer", ... (tokenizer_types.h)
  std::string tokenizer_model;        // as given: directory, file or Hugging Face repo id
  std::string tokenizer_path;         // tokenizer.json, .model or vocab.json; empty if absent
  std::string tokenizer_merges_path;  // merges.txt of a vocab.json
  int64_t tokenizer_numbers = 0;      // NullTokenizer's: ids below it are text; else 0
  bool mock_data = false;             // random tokens from the seed
  std::string split = "990,10,0";
  bool shuffle_sample_in_corpus = true;  // the contract's script passes it
  bool blend_sample_in_corpus = false;
  std::optional<int64_t> exact_epochs = {};  // --train-data-exact-num-epochs
  std::string cache_path;  // folder of sample indices kept in files; empty: they stay in memory
  int64_t tokenizer_vocab_size = 0;  // before padding to ModelConfig::vocab_size
  // Documents inside a sequence (contract section 7.9).
  bool eod_mask_loss = false;         // no loss for what follows an end-of-document token
  bool reset_position_ids = false;    // positions start again with every document
  bool reset_attention_mask = false;  // attention stops at the ends of documents
  std::optional<int64_t> eod_token;   // id that ends a document; default: the tokenizer's

  // What names the data files; empty with mock_data or if nothing does.
  const std::string& source() const { return data_path.empty() ? data_file_list : data_path; }
  // One prefix instead of a list: no blending, no surplus (contract section 7.7).
  bool is_one_prefix() const {
    return !data_path.empty() && data_path.find_first_of(" \t\r\n\v\f") == std::string::npos;
  }
  bool looks_at_documents() const {
    return eod_mask_loss || reset_position_ids || reset_attention_mask;
  }
};

// Iterations, 1-based, both ends included.
struct IterationRange {
  int64_t first = 0;
  int64_t last = 0;
  bool contains(int64_t iteration) const { return first <= iteration && iteration <= last; }
};

struct ScheduleLimits {
  int64_t train_iters = 0;
  std::optional<int64_t> train_tokens;  // when the iterations were derived from it
  int64_t eval_interval = 100;          // iterations; 0 = never
  int64_t eval_iters = 20;
  int64_t save_interval = 50;  // iterations; 0 = only at the end
  int64_t log_interval = 1;
  int64_t timing_log_level = 1;
  std::optional<int64_t> exit_interval;           // leave after its multiples
  std::optional<double> exit_duration_mins = {};  // leave when the process is older
  std::string kill_switch_file = {};              // leave when it exists; empty: none
  std::vector<IterationRange> ranges_to_skip = {};
  std::vector<int64_t> forward_only_after = {};  // iterations behind which a step makes no update
};

// The rank grid: data and sequence parallel (Ulysses); until the other axes exist their sizes are
// 1, and validation says so.
struct ParallelConfig {
  int64_t world_size = 1;
  int64_t hosts = 1;  // that the ranks are on
  int64_t tensor_parallel_size = 1;
  int64_t pipeline_parallel_size = 1;
  int64_t sequence_parallel_size = 1;  // ranks that have a part of each sequence (SP, Ulysses)
  double timeout_minutes = 10;         // of waiting for other ranks in one call
  int64_t zero_stage = 0;  // sharding of one rank is no sharding: 0 and 1 are equal there
  // At stage 3: ranks of a host over which each keeps a second shard of the weights; 1: none.
  int64_t zero_hpz_partition_size = 1;
  // Gradients are rounded to bf16 to travel between ranks; they are added up in f32 in any case.
  bool grad_reduce_in_bf16 = false;
  DType grad_reduce_dtype() const { return grad_reduce_in_bf16 ? DType::kBF16 : DType::kF32; }
  // Ranks that have sequences of their own.
  int64_t data_parallel_size() const { return replicas() / sequence_parallel_size; }
  // Ranks that have the same parameters, whose gradients are added up and over which ZeRO shards.
  int64_t replicas() const { return world_size / tensor_parallel_size / pipeline_parallel_size; }
};

struct RecomputeConfig {
  bool enabled = false;            // USE_ACTIVATION_CHECKPOINTING
  int64_t layers_per_segment = 1;  // ACT_CKPT_NUM_LAYERS
};

struct OutputConfig {
  std::string prefix;          // names logs/<prefix> and checkpoints/<prefix>
  std::string run_dir;         // where output.log, metrics.jsonl, ... of this run go
  std::string checkpoint_dir;  // SAVE, CKPT_DIR or checkpoints/<prefix>
  bool save_checkpoints = true;
  double report_interval_s = 300;  // between reports while the run goes on; 0: only at the end
  bool progress = true;            // a progress line on a terminal
  bool json = false;               // stdout carries one JSON document
};

// What a run goes on from, and what it keeps of what it saves.
struct CheckpointConfig {
  std::string load_dir;     // LOAD, or where the run saves; a run's checkpoints, or one of them
  bool load_given = false;  // by the user
  bool no_load = false;     // start from scratch
  bool finetune = false;    // weights alone: iteration 0, no samples consumed, moments zero
  bool load_optimizer = true;
  bool reset_iteration = false;    // iteration 0, no samples consumed, but moments kept
  bool override_schedule = false;  // this command's learning rates, not the checkpoint's
  int64_t keep_last = 0;           // newest checkpoints that are kept; 0: all
  int64_t keep_every = 0;          // and those whose step it divides; 0: none
};

// Which iterations are timed kernel by kernel: [first_iteration, end_iteration).
struct ProfileConfig {
  bool enabled = false;
  int64_t first_iteration = 2;  // the first holds start-up
  int64_t end_iteration = 5;
};

// Records of a run that other programs read, beside its own.
struct TrackingConfig {
  bool tensorboard = true;      // NO_TENSORBOARD drops it
  std::string tensorboard_dir;  // empty: RUN_DIR/tensorboard
  bool wandb = false;           // an offline run of Weights & Biases is written
  bool wandb_online = false;    // asked for one that is sent at once, which we never do
  std::string wandb_dir;        // WANDB_DIR, which gets a folder wandb/; empty: RUN_DIR
  std::string wandb_project;
  std::string wandb_entity = {};  // these may be empty
  std::string wandb_group = {};
  std::string wandb_name = {};
  std::string wandb_notes = {};
  std::string wandb_run_id = {};
  std::vector<std::string> wandb_tags = {};
};

struct MachineConfig {
  int64_t threads = 0;                        // 0: cores in the affinity mask
  std::optional<int64_t> memory_limit_bytes;  // MEMORY_LIMIT
  std::string device = "auto";                // "cuda", "cpu"; "auto": a GPU where there is one
  bool deterministic = true;                  // on a GPU: the same bits in every run
  std::string cpu_isa = "native";             // "native", or a cap for tests: "avx2", "avx512"
  int64_t ranks_on_host = 1;                  // that share its free memory
  int64_t gpu = 0;                            // of those that this process sees
  int64_t ranks_of_gpu = 1;                   // of this host that compute on it
  bool gpus_are_shared = false;               // of any host: ranks compute on one together
};

struct RunConfig {
  ModelConfig model;
  BatchConfig batch;
  ScheduleConfig schedule;
  OptimizerConfig optimizer;
  DataConfig data;
  ScheduleLimits limits;
  ParallelConfig parallel;
  RecomputeConfig recompute;
  OutputConfig output;
  CheckpointConfig checkpoint;
  ProfileConfig profile;
  TrackingConfig tracking;
  MachineConfig machine;
  DType dtype = DType::kBF16;
  uint64_t seed = 1234;
  std::string log_level = "INFO";
  // Whether it saves before its last step.
  bool saves_while_training() const {
    return output.save_checkpoints && limits.save_interval > 0 &&
           limits.save_interval < limits.train_iters;
  }

  std::vector<std::string> notes;     // one line each, logged at start: "meant" versus "as run"
  std::vector<std::string> warnings;  // logged at start as warnings
};

}  // namespace borealis
