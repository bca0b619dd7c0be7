#include "workload.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace borealis {

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all = [] {
    const char* path = BOREALIS_BENCH_INPUTS "/shapes.txt";
    std::ifstream file(path);
    std::vector<Workload> result;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
      if (line.empty() || line[0] == '#') continue;
      std::istringstream fields(line);
      Workload w;
      fields >> w.name >> w.micro_batch >> w.seq >> w.hidden >> w.heads >> w.kv_heads >> w.ffn >>
          w.vocab;
      if (!fields) {
        std::fprintf(stderr, "%s, line %d: a name and seven numbers were expected\n", path, number);
        std::exit(1);
      }
      result.push_back(w);
    }
    if (result.empty()) {
      std::fprintf(stderr, "%s: no workloads there\n", path);
      std::exit(1);
    }
    return result;
  }();
  return all;
}

bool register_for_all_workloads(const std::string& kernel, const WorkloadBenchmark& body) {
  for (const Workload& w : workloads()) {
    benchmark::RegisterBenchmark((kernel + "/" + w.name).c_str(),
                                 [body, &w](benchmark::State& state) { body(state, w); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
  return true;
}

}  // namespace borealis
