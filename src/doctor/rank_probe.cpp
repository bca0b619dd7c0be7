#include "doctor/rank_probe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/json_excerpt.h"
#include "base/memory.h"
#include "comm/collectives.h"
#include "data/batch_loader.h"
#include "data/data_fingerprint.h"
#include "kernels/cpu_isa.h"
#include "kernels/triad.h"
#include "model/product_rate.h"
#include "model/run_layout.h"
#include "telemetry/machine.h"

namespace borealis {
namespace {

// Enough for products that take some milliseconds; less where many ranks share little memory.
constexpr int64_t kMostProductBytes = int64_t{256} << 20;
constexpr int64_t kLeastProductBytes = int64_t{16} << 20;

void look_at_data(const RunConfig& config, RankProbe& probe) {
  if (config.data.mock_data || config.data.source().empty()) return;
  try {
    probe.data = fmt::format("{}, fingerprint {}", data_description_text(describe_data(config)),
                             data_fingerprint(config));
  } catch (const Error& error) {
    probe.data_fault = fault_text(error);
  }
}

// Enough for what fills a GPU.
constexpr int64_t kMostGpuBytes = int64_t{2} << 30;

void measure_gpu(Communicator& all, const RunConfig& config, Backend& backend, RankProbe& probe) {
  const int64_t share = probe.gpu_free_bytes / backend.gpu()->ranks / 4;
  const DeviceBuffer memory(backend.device(), static_cast<size_t>(std::min(share, kMostGpuBytes)),
                            "products to measure");
  const DecoderShape shape = decoder_shape(config, static_cast<int>(probe.threads), backend.gpu());
  all.barrier("measuring products");
  probe.gemm_flops_per_s =
      measure_model_products(backend, shape, config.dtype, memory.bytes()).flops_per_s;
  all.barrier("measuring memory");
  probe.memory_bytes_per_s = backend.measure_bandwidth(memory.bytes());
}

void measure_host(Communicator& all, int64_t ranks_of_host, const RunConfig& config,
                  RankProbe& probe) {
  const int64_t share = probe.available_bytes / ranks_of_host / 4;
  PageBuffer memory(static_cast<size_t>(std::clamp(share, kLeastProductBytes, kMostProductBytes)),
                    "products to measure");
  const DecoderShape shape = decoder_shape(config, static_cast<int>(probe.threads));
  all.barrier("measuring products");
  probe.gemm_flops_per_s = measure_model_products(cpu_backend(), shape, config.dtype,
                                                  {memory.data(), memory.size_bytes()})
                               .flops_per_s;
  all.barrier("measuring memory");
  if (triad_bytes() < share) probe.memory_bytes_per_s = measure_triad_bytes_per_s();
}

RankProbe from_json(const nlohmann::json& json) {
  return {.rank = json.at("rank"),
          .host = json.at("host"),
          .program = json.at("program"),
          .library = json.at("library"),
          .isa = json.at("isa"),
          .cpu_model = json.at("cpu_model"),
          .gpu = json.at("gpu"),
          .exchange = json.at("exchange"),
          .data = json.at("data"),
          .data_fault = json.at("data_fault"),
          .threads = json.at("threads"),
          .cores = json.at("cores"),
          .core_sharers = json.at("core_sharers"),
          .available_bytes = json.at("available_bytes"),
          .gpu_free_bytes = json.at("gpu_free_bytes"),
          .gemm_flops_per_s = json.at("gemm_flops_per_s"),
          .memory_bytes_per_s = json.at("memory_bytes_per_s")};
}

}  // namespace

nlohmann::ordered_json rank_probe_json(const RankProbe& probe) {
  return {{"rank", probe.rank},
          {"host", probe.host},
          {"program", probe.program},
          {"library", probe.library},
          {"isa", probe.isa},
          {"cpu_model", probe.cpu_model},
          {"gpu", probe.gpu},
          {"exchange", probe.exchange},
          {"data", probe.data},
          {"data_fault", probe.data_fault},
          {"threads", probe.threads},
          {"cores", probe.cores},
          {"core_sharers", probe.core_sharers},
          {"available_bytes", probe.available_bytes},
          {"gpu_free_bytes", probe.gpu_free_bytes},
          {"gemm_flops_per_s", probe.gemm_flops_per_s},
          {"memory_bytes_per_s", probe.memory_bytes_per_s}};
}

std::vector<RankProbe> probe_ranks(Communicator& all, Communicator& host, const RunConfig& config,
                                   const ProbeBasis& basis, Backend& backend) {
  const MachineInfo machine = describe_machine();
  RankProbe mine{.rank = all.rank(),
                 .host = machine.hostname,
                 .program = basis.program,
                 .library = basis.library,
                 .isa = cpu_isa_description(),
                 .cpu_model = machine.cpu_model,
                 .threads = basis.threads,
                 .cores = machine.cores,
                 .core_sharers = basis.core_sharers};
  look_at_data(config, mine);
  host.barrier("looking at memory");
  mine.available_bytes = memory_limit(config.machine.memory_limit_bytes).bytes;
  if (const GpuProfile* gpu = backend.gpu()) {
    mine.gpu = gpu->name;
    if (all.size() > 1) mine.exchange = gpu->has_group ? "NCCL" : "MPI";
    mine.gpu_free_bytes = backend.device().memory().free_bytes;
  }
  host.barrier("looking at memory");
  if (backend.gpu() != nullptr) {
    measure_gpu(all, config, backend, mine);
  } else {
    measure_host(all, host.size(), config, mine);
  }
  std::vector<RankProbe> probes;
  for (const std::string& text :
       all_texts(all, json_text(rank_probe_json(mine)), "comparing ranks")) {
    probes.push_back(from_json(nlohmann::json::parse(text)));
  }
  return probes;
}

std::string rank_ranges(const std::vector<int64_t>& ranks) {
  std::vector<std::string> ranges;
  for (size_t first = 0; first < ranks.size();) {
    size_t last = first;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    ranges.push_back(first == last ? std::to_string(ranks[first])
                                   : fmt::format("{}-{}", ranks[first], ranks[last]));
    first = last + 1;
  }
  return fmt::format("{}", fmt::join(ranges, ", "));
}

}  // namespace borealis
