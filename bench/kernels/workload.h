// Shapes for the kernel benchmarks, read from bench/inputs/shapes.txt.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "kernels/head_loss.h"
#include "kernels/linear.h"

namespace borealis {

struct Workload {
  std::string name;
  int64_t micro_batch, seq, hidden, heads, kv_heads, ffn, vocab;

  int64_t rows() const { return micro_batch * seq; }
  int64_t head_dim() const { return hidden / heads; }
  int64_t qkv_heads() const { return heads + 2 * kv_heads; }
  AttentionShape attention() const { return {micro_batch, seq, heads, kv_heads, head_dim()}; }
  LinearShape qkv() const { return {rows(), qkv_heads() * head_dim(), hidden}; }
  LinearShape gate_up() const { return {rows(), 2 * ffn, hidden}; }
  LinearShape down() const { return {rows(), hidden, ffn}; }
  HeadShape head() const { return {rows(), hidden, vocab}; }
};

// Every line of shapes.txt. Ends the program with one line on standard error if it cannot be read.
const std::vector<Workload>& workloads();

// Registers `kernel/<workload>` for every workload.
using WorkloadBenchmark = std::function<void(benchmark::State&, const Workload&)>;
bool register_for_all_workloads(const std::string& kernel, const WorkloadBenchmark& body);

}  // namespace borealis
