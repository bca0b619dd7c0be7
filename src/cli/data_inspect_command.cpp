#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/dataset_prefix.h"
#include "cli/parse_arguments.h"
#include "cli/tokenizer_options.h"
#include "data/brief_check.h"
#include "data/data_record.h"
#include "data/document_lengths.h"
#include "data/indexed_dataset.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kBarWidth = 40;

struct InspectArguments {
  std::string prefix;
  TokenizerOptions tokenizer;
  int64_t samples = 3;
  int64_t sample_tokens = 64;
  bool json = false;
};

struct DocumentSample {
  int64_t document = 0;
  int64_t length = 0;        // of the whole document
  std::vector<int32_t> ids;  // its first ones
  std::optional<std::string> text;
};

std::vector<int32_t> first_tokens(const IndexedDataset& data, int64_t document, int64_t count) {
  std::vector<int32_t> ids;
  const auto index = data.document_index();
  for (int64_t i = index[document]; i < index[document + 1]; ++i) {
    const auto before = static_cast<int64_t>(ids.size());
    const int64_t part = std::min<int64_t>(data.lengths()[i], count - before);
    ids.resize(static_cast<size_t>(before + part));
    data.read(i, 0, part, std::numeric_limits<int32_t>::max(), ids.data() + before);
  }
  return ids;
}

// Documents spread evenly over the data set, the first one among them.
std::vector<DocumentSample> take_samples(const InspectArguments& arguments,
                                         const IndexedDataset& data) {
  std::unique_ptr<Tokenizer> tokenizer;
  if (arguments.tokenizer.names_one()) {
    tokenizer = std::make_unique<Tokenizer>(arguments.tokenizer.open());
  }
  std::vector<DocumentSample> samples;
  const int64_t count = std::min(arguments.samples, data.document_count());
  for (int64_t i = 0; i < count; ++i) {
    // i * documents / count without a product that could overflow
    const int64_t document =
        i * (data.document_count() / count) + i * (data.document_count() % count) / count;
    DocumentSample sample{.document = document,
                          .length = document_length(data, document),
                          .ids = first_tokens(data, document, arguments.sample_tokens),
                          .text = std::nullopt};
    if (tokenizer) sample.text = tokenizer->decode(sample.ids, false);
    samples.push_back(std::move(sample));
  }
  return samples;
}

Json lengths_json(const DocumentLengths& lengths) {
  Json histogram = Json::array();
  for (const LengthBucket& bucket : lengths.buckets) {
    histogram.push_back({{"from", bucket.lowest},
                         {"to", bucket.highest},
                         {"documents", bucket.documents},
                         {"tokens", bucket.tokens}});
  }
  return {{"shortest", lengths.shortest},
          {"percentile_10", lengths.percentile_10},
          {"median", lengths.median},
          {"mean", lengths.mean},
          {"percentile_90", lengths.percentile_90},
          {"percentile_99", lengths.percentile_99},
          {"longest", lengths.longest},
          {"histogram", histogram}};
}

Json samples_json(const std::vector<DocumentSample>& samples) {
  Json json = Json::array();
  for (const DocumentSample& sample : samples) {
    json.push_back({{"document", sample.document}, {"length", sample.length}, {"ids", sample.ids}});
    if (sample.text) json.back()["text"] = *sample.text;
  }
  return json;
}

void print_json(const IndexedDataset& data, const DocumentLengths& lengths,
                const std::optional<DataRecord>& record, const std::vector<DocumentSample>& samples,
                const std::vector<DatasetProblem>& problems) {
  Json json = {{"prefix", data.prefix()},
               {"documents", data.document_count()},
               {"sequences", data.sequence_count()},
               {"tokens", data.token_count()},
               {"dtype", token_type_name(data.token_type())},
               {"bin_bytes", data.token_file_bytes()},
               {"idx_bytes", data.index_file_bytes()},
               {"record", nullptr},
               {"lengths", lengths_json(lengths)},
               {"samples", samples_json(samples)}};
  json["problems"] = Json::array();
  for (const DatasetProblem& problem : problems) {
    json["problems"].push_back(
        {{"class", std::string(dataset_fault_name(problem.fault))}, {"text", problem.text}});
  }
  if (record) json["record"] = Json::parse(data_record_json(*record));
  fmt::print("{}\n", json_text(json, 2));
}

void print_record(const std::optional<DataRecord>& record) {
  if (!record) {
    fmt::print("  no record of the tokenizer and the sources\n");
    return;
  }
  fmt::print("  tokenizer  {} ({})\n", record->tokenizer_path,
             describe_tokenizer(record->tokenizer));
  fmt::print("  end token  {}\n",
             record->end_token_appended ? "at the end of every document" : "not appended");
  fmt::print("  sources    {} file{}, made by {}\n", record->sources.size(),
             record->sources.size() == 1 ? "" : "s", record->program);
}

void print_histogram(const DocumentLengths& lengths) {
  int64_t most = 1;
  for (const LengthBucket& bucket : lengths.buckets) most = std::max(most, bucket.documents);
  fmt::print("\n  {:>25}  {:>15}  {:>19}\n", "tokens in a document", "documents", "tokens");
  for (const LengthBucket& bucket : lengths.buckets) {
    const auto bar = static_cast<size_t>(
        (static_cast<double>(bucket.documents) / static_cast<double>(most)) * kBarWidth + 0.999);
    fmt::print("  {:>11} .. {:>10}  {:>15}  {:>19}  {}\n", bucket.lowest, bucket.highest,
               format_count(bucket.documents), format_count(bucket.tokens),
               std::string(std::min<size_t>(bar, kBarWidth), '#'));
  }
}

void print_samples(const std::vector<DocumentSample>& samples) {
  for (const DocumentSample& sample : samples) {
    fmt::print("\n  document {} ({} tokens): ", format_count(sample.document),
               format_count(sample.length));
    if (sample.text) {
      // Quoted, so that line breaks and control characters show and do no harm to the terminal.
      fmt::print("{}", json_text(Json(*sample.text)));
    } else {
      for (const int32_t id : sample.ids) fmt::print("{} ", id);
    }
    fmt::print("{}\n", static_cast<int64_t>(sample.ids.size()) < sample.length ? " ..." : "");
  }
}

void print_text(const IndexedDataset& data, const DocumentLengths& lengths,
                const std::optional<DataRecord>& record,
                const std::vector<DocumentSample>& samples) {
  fmt::print("{}\n  documents  {} ({} sequences)\n  tokens     {} ({}), {}\n", data.prefix(),
             format_count(data.document_count()), format_count(data.sequence_count()),
             format_count(data.token_count()), token_type_name(data.token_type()),
             format_bytes(data.token_file_bytes()));
  print_record(record);
  fmt::print("  lengths    mean {:.1f}; least {}, 10 % {}, median {}, 90 % {}, 99 % {}, most {}\n",
             lengths.mean, lengths.shortest, lengths.percentile_10, lengths.median,
             lengths.percentile_90, lengths.percentile_99, lengths.longest);
  print_histogram(lengths);
  print_samples(samples);
}

void warn_of_other_tokenizer(const InspectArguments& arguments,
                             const std::optional<DataRecord>& record) {
  if (!record || !arguments.tokenizer.names_one()) return;
  const auto own = tokenizer_identity(arguments.tokenizer.open());
  if (own == record->tokenizer) return;
  log_warning(fmt::format(
      "the data was made with {}, but {} is {}: the text below is not what was "
      "tokenized",
      describe_tokenizer(record->tokenizer), arguments.tokenizer.model, describe_tokenizer(own)));
}

std::optional<int64_t> vocabulary_of(const InspectArguments& arguments) {
  if (!arguments.tokenizer.names_one()) return std::nullopt;
  return tokenizer_identity(arguments.tokenizer.open()).vocab_size;
}

int inspect(const InspectArguments& arguments) {
  log_open(LogStream::kStderr, "INFO");
  const IndexedDataset data(dataset_prefix(arguments.prefix));
  const auto record = read_data_record(data.prefix());
  warn_of_other_tokenizer(arguments, record);
  const DocumentLengths lengths = measure_documents(data);
  const auto samples = take_samples(arguments, data);
  const auto problems = brief_check(data, record, vocabulary_of(arguments));
  if (arguments.json) {
    print_json(data, lengths, record, samples, problems);
  } else {
    print_text(data, lengths, record, samples);
  }
  warn_of_damage(data, problems);
  return 0;
}

}  // namespace

int run_data_inspect_command(const std::vector<std::string>& arguments) {
  CLI::App app("Shows what is in a .bin/.idx pair: counts, document lengths, samples.",
               "borealis data inspect");
  InspectArguments parsed;
  app.add_option("PREFIX", parsed.prefix, "the pair, with or without .bin or .idx")->required();
  parsed.tokenizer.add_to(app, "to show samples as text; default: they are shown as ids");
  app.add_option("--samples", parsed.samples, "documents to show, spread over the data set")
      ->check(whole_number(0))
      ->capture_default_str();
  app.add_option("--sample-tokens", parsed.sample_tokens, "tokens to show of each")
      ->check(whole_number(1))
      ->capture_default_str();
  app.add_flag("--json", parsed.json, "print one JSON document");
  return parse_arguments(app, arguments) ? inspect(parsed) : 0;
}

}  // namespace borealis
