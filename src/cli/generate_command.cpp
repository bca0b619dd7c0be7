#include <fmt/format.h>
#include <omp.h>

#include <cstdio>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "checkpoint/run_checkpoints.h"
#include "cli/command.h"
#include "cli/loaded_model.h"
#include "cli/parse_arguments.h"
#include "cli/tokenizer_options.h"
#include "model/generator.h"

namespace borealis {
int run_generate_command(const std::vector<std::string>& arguments) {
  CLI::App app("Continue a prompt with a trained model.", "borealis generate");
  std::string model_path, prompt, dtype_name = "bf16";
  TokenizerOptions tokenizer_options;
  SamplingOptions options;
  app.add_option("--model", model_path, "a checkpoint folder, or a run's checkpoints")->required();
  app.add_option("--prompt", prompt, "text to continue")->required();
  tokenizer_options.add_to(app, "file, folder or cached name [the checkpoint's own]");
  app.add_option("--max-new-tokens", options.max_new_tokens, "length of the continuation")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--temperature", options.temperature, "0: always the likeliest token")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-k", options.top_k, "choose among the k likeliest; 0: among all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", options.top_p, "choose among the likeliest with this much probability")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", options.seed, "same seed, same text")->capture_default_str();
  app.add_option("--dtype", dtype_name, "bf16 or fp32")
      ->capture_default_str()
      ->check(CLI::IsMember({"bf16", "fp32"}));
  if (!parse_arguments(app, arguments)) return 0;
  log_open(LogStream::kStderr, "WARNING");
  omp_set_num_threads(usable_cores());

  const std::filesystem::path folder = find_model_folder(model_path);
  const LoadedModel model(folder, dtype_name == "fp32" ? DType::kF32 : DType::kBF16);
  const Tokenizer tokenizer =
      tokenizer_options.names_one() ? tokenizer_options.open() : open_tokenizer_of(folder.string());
  const std::vector<int32_t> ids = tokenizer.encode_document(prompt);
  if (ids.empty())
    throw Error(ErrorKind::kUsage, "--prompt is empty", "give some text to continue");
  for (const int32_t id : ids) {
    if (id >= model.config.vocab_size) {
      throw Error(ErrorKind::kData,
                  fmt::format("token id {} of the prompt is beyond the model's vocabulary of {}",
                              id, model.config.vocab_size),
                  "use the tokenizer that the model was trained with");
    }
  }
  options.stop_tokens.clear();
  for (const int64_t id : load_special_tokens(folder).eos) {
    options.stop_tokens.push_back(static_cast<int32_t>(id));
  }
  Generator generator(model.config, model.parameters,
                      static_cast<int64_t>(ids.size()) + options.max_new_tokens);
  fmt::print("{}", prompt);
  StreamDecoder decoder(tokenizer);
  generator.generate(ids, options, [&](int32_t id) {
    fmt::print("{}", decoder.add(id));
    std::fflush(stdout);
  });
  fmt::print("{}\n", decoder.finish());
  return 0;
}

}  // namespace borealis
