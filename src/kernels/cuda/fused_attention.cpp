// The only file that includes cudnn-frontend: it takes a minute to compile, and crashes nvcc.
//   B sequences of T tokens, H query heads, K key/value heads, C head dim, as in attention.h.
#include "kernels/cuda/fused_attention.h"

#include <cudnn_frontend.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/rounding.h"
#include "kernels/cuda/launch.h"

namespace borealis::cuda {
namespace {

namespace fe = cudnn_frontend;
using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;

void check_cudnn(fe::error_t status, const char* what) {
  if (status.is_good()) return;
  std::string why = status.get_message();
  std::replace(why.begin(), why.end(), '\n', ' ');
  throw Error(ErrorKind::kDevice, fmt::format("cuDNN: {}: {}", what, why));
}
void check_cudnn(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw Error(ErrorKind::kDevice, fmt::format("cuDNN: {}: {}", what, cudnnGetErrorString(status)));
}

class Handle {
 public:
  explicit Handle(cudaStream_t stream) {
    check_cudnn(cudnnCreate(&handle_), "starting");
    check_cudnn(cudnnSetStream(handle_, stream), "starting");
  }
  ~Handle() { cudnnDestroy(handle_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  cudnnHandle_t get() const { return handle_; }

 private:
  cudnnHandle_t handle_ = nullptr;
};

// What a plan asks for.
enum Operand : int64_t {
  kQ = 1,
  kK,
  kV,
  kOut,
  kStats,
  kDout,
  kDq,
  kDk,
  kDv,
  kLengths,
  kRowOffsets,
  kOutOffsets,
  kStatsOffsets
};
using Pointers = std::unordered_map<int64_t, void*>;

enum class Direction { kForward, kBackward };

// A plan is dense, B sequences of T tokens, or ragged: up to `documents` of them behind each other,
// whose lengths and places are data.
struct PlanShape {
  AttentionShape attention;
  int64_t documents = 0;  // 0: dense
  int64_t rows = 0;       // of all documents, at most
  bool deterministic = false;

  bool ragged() const { return documents > 0; }
};

class Plan {
 public:
  Plan(const Handle& handle, const PlanShape& shape, Direction direction)
      : handle_(handle.get()), shape_(shape) {
    graph_.set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    if (shape_.ragged()) {
      lengths_ = integers(kLengths, shape_.documents);
      row_offsets_ = integers(kRowOffsets, shape_.documents + 1);
      out_offsets_ = integers(kOutOffsets, shape_.documents + 1);
      stats_offsets_ = integers(kStatsOffsets, shape_.documents + 1);
    }
    if (direction == Direction::kForward) {
      describe_forward();
    } else {
      describe_backward();
    }
    check_cudnn(graph_.build(handle_, {fe::HeurMode_t::A}), "planning attention");
    check_cudnn(graph_.get_workspace_size(workspace_bytes_), "planning attention");
  }

  size_t workspace_bytes() const { return static_cast<size_t>(workspace_bytes_); }
  void run(Pointers pointers, void* workspace) const {
    check_cudnn(graph_.execute(handle_, pointers, workspace), "attention");
  }

 private:
  int64_t batch() const { return shape_.ragged() ? shape_.documents : shape_.attention.batch_size; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.attention.head_dim)); }

  Tensor integers(Operand operand, int64_t count) {
    return graph_.tensor(fe::graph::Tensor_attributes()
                             .set_uid(operand)
                             .set_data_type(fe::DataType_t::INT32)
                             .set_dim({count, 1, 1, 1})
                             .set_stride({1, 1, 1, 1}));
  }

  // Heads of rows of `row` elements.
  void lay_out(fe::graph::Tensor_attributes& tensor, Operand operand, int64_t heads, int64_t row,
               const Tensor& offsets) const {
    const int64_t T = shape_.attention.seq_length, C = shape_.attention.head_dim;
    tensor.set_uid(operand).set_dim({batch(), heads, T, C}).set_stride({T * row, C, row, 1});
    if (offsets != nullptr) tensor.set_ragged_offset(offsets);
  }
  // Of QKV or of its gradient.
  void lay_out_row(fe::graph::Tensor_attributes& tensor, Operand operand) const {
    const AttentionShape& s = shape_.attention;
    const bool query = operand == kQ || operand == kDq;
    lay_out(tensor, operand, query ? s.num_heads : s.num_key_value_heads, s.row_stride(),
            row_offsets_);
  }
  // Of the output or of its gradient.
  void lay_out_out(fe::graph::Tensor_attributes& tensor, Operand operand) const {
    const AttentionShape& s = shape_.attention;
    lay_out(tensor, operand, s.num_heads, s.num_heads * s.head_dim, out_offsets_);
  }
  // [B, H, T], of documents [rows, H]: laid out densely they cost 40 % of the backward pass.
  void lay_out_stats(fe::graph::Tensor_attributes& tensor) const {
    const int64_t T = shape_.attention.seq_length, H = shape_.attention.num_heads;
    tensor.set_uid(kStats).set_data_type(fe::DataType_t::FLOAT).set_dim({batch(), H, T, 1});
    if (shape_.ragged()) {
      tensor.set_stride({H * T, 1, H, 1}).set_ragged_offset(stats_offsets_);
    } else {
      tensor.set_stride({H * T, T, 1, 1});
    }
  }

  Tensor row_input(Operand operand) {
    fe::graph::Tensor_attributes tensor;
    lay_out_row(tensor, operand);
    return graph_.tensor(tensor);
  }
  Tensor out_input(Operand operand) {
    fe::graph::Tensor_attributes tensor;
    lay_out_out(tensor, operand);
    return graph_.tensor(tensor);
  }
  Tensor stats_input() {
    fe::graph::Tensor_attributes tensor;
    lay_out_stats(tensor);
    return graph_.tensor(tensor);
  }

  void describe_forward() {
    fe::graph::SDPA_attributes attributes;
    attributes.set_generate_stats(true).set_attn_scale(scale()).set_causal_mask(true);
    if (shape_.ragged()) {
      attributes.set_padding_mask(true).set_seq_len_q(lengths_).set_seq_len_kv(lengths_);
    }
    const auto [out, stats] =
        graph_.sdpa(row_input(kQ), row_input(kK), row_input(kV), std::move(attributes));
    lay_out_out(out->set_output(true), kOut);
    lay_out_stats(stats->set_output(true));
  }

  void describe_backward() {
    fe::graph::SDPA_backward_attributes attributes;
    attributes.set_attn_scale(scale()).set_causal_mask(true).set_deterministic_algorithm(
        shape_.deterministic);
    if (shape_.ragged()) {
      attributes.set_padding_mask(true)
          .set_seq_len_q(lengths_)
          .set_seq_len_kv(lengths_)
          .set_max_total_seq_len_q(shape_.rows)
          .set_max_total_seq_len_kv(shape_.rows);
    }
    const auto [dq, dk, dv] =
        graph_.sdpa_backward(row_input(kQ), row_input(kK), row_input(kV), out_input(kOut),
                             out_input(kDout), stats_input(), std::move(attributes));
    lay_out_row(dq->set_output(true), kDq);
    lay_out_row(dk->set_output(true), kDk);
    lay_out_row(dv->set_output(true), kDv);
  }

  cudnnHandle_t handle_;
  PlanShape shape_;
  fe::graph::Graph graph_;
  Tensor lengths_, row_offsets_, out_offsets_, stats_offsets_;
  int64_t workspace_bytes_ = 0;
};

class DeviceIntegers {
 public:
  explicit DeviceIntegers(size_t count) {
    if (count == 0) return;
    check(cudaMalloc(&memory_, count * sizeof(int32_t)), "allocating the places of documents");
  }
  ~DeviceIntegers() { cudaFree(memory_); }
  DeviceIntegers(const DeviceIntegers&) = delete;
  DeviceIntegers& operator=(const DeviceIntegers&) = delete;
  int32_t* data() const { return static_cast<int32_t*>(memory_); }

 private:
  void* memory_ = nullptr;
};

// Lengths and places of the documents of a batch, on the device, as plans read them: in elements
// from an operand's beginning. Four arrays for the plan of all documents, of which a plan for fewer
// takes the first entries; unused ones are empty documents at the end. Behind them, for calls that
// take one document each, a record of four arrays for one: its length, and each time 0 and its
// size.
class Documents {
 public:
  Documents(const AttentionShape& shape, int64_t most, bool one_by_one, cudaStream_t stream)
      : shape_(shape),
        most_(most),
        array_(round_up(most + 1, kAlignment)),
        host_(most == 0
                  ? 0
                  : static_cast<size_t>(kArrays * (array_ + (one_by_one ? most : 0) * kAlignment))),
        one_by_one_(one_by_one),
        device_(host_.size()),
        stream_(stream) {}

  struct Piece {
    int64_t first = 0, rows = 0;
  };
  // Empty: each sequence is one.
  const std::vector<Piece>& pieces() const { return pieces_; }

  void set(std::span<const int32_t> lengths) {
    pieces_.clear();
    int64_t first = 0;
    for (const int32_t length : lengths) {
      CHECK(length > 0 && first % shape_.seq_length + length <= shape_.seq_length);
      pieces_.push_back({first, length});
      first += length;
    }
    CHECK(lengths.empty() || first == shape_.batch_size * shape_.seq_length);
    if (static_cast<int64_t>(pieces_.size()) <= shape_.batch_size) pieces_.clear();
    CHECK(static_cast<int64_t>(pieces_.size()) <= most_);
    if (pieces_.empty()) return;
    fill();
    // From pageable memory: it returns when the host's copy has been read.
    check(cudaMemcpyAsync(device_.data(), host_.data(), host_.size() * sizeof(int32_t),
                          cudaMemcpyHostToDevice, stream_),
          "uploading the places of documents");
  }

  void add_all(Pointers& pointers) const { add(pointers, device_.data(), array_); }
  void add_one(Pointers& pointers, size_t piece) const {
    add(pointers, device_.data() + kArrays * (array_ + static_cast<int64_t>(piece) * kAlignment),
        kAlignment);
  }

 private:
  static constexpr int64_t kArrays = 4;
  static constexpr int64_t kAlignment = 4;  // entries: cuDNN wants its tensors on 16 bytes

  static void add(Pointers& pointers, int32_t* from, int64_t array) {
    int64_t i = 0;
    for (const Operand of : {kLengths, kRowOffsets, kOutOffsets, kStatsOffsets}) {
      pointers[of] = from + i++ * array;
    }
  }

  void fill() {
    const int64_t sizes[] = {shape_.row_stride(), shape_.num_heads * shape_.head_dim,
                             shape_.num_heads};
    const auto count = static_cast<int64_t>(pieces_.size());
    const int64_t end = shape_.batch_size * shape_.seq_length;
    const auto at = [&](int64_t i) -> int32_t& { return host_[static_cast<size_t>(i)]; };
    for (int64_t i = 0; i <= most_; ++i) {
      const Piece piece = i < count ? pieces_[static_cast<size_t>(i)] : Piece{end, 0};
      at(i) = static_cast<int32_t>(piece.rows);
      for (int64_t k = 0; k < 3; ++k) {
        at((k + 1) * array_ + i) = static_cast<int32_t>(piece.first * sizes[k]);
      }
    }
    for (int64_t i = 0; one_by_one_ && i < count; ++i) {
      const int64_t rows = pieces_[static_cast<size_t>(i)].rows;
      const int64_t record = kArrays * (array_ + i * kAlignment);
      at(record) = static_cast<int32_t>(rows);
      for (int64_t k = 0; k < 3; ++k) {
        at(record + (k + 1) * kAlignment + 1) = static_cast<int32_t>(rows * sizes[k]);
      }
    }
  }

  AttentionShape shape_;
  int64_t most_, array_;  // entries of an array
  std::vector<int32_t> host_;
  bool one_by_one_;
  std::vector<Piece> pieces_;
  DeviceIntegers device_;
  cudaStream_t stream_;
};

void* advanced(const bf16* pointer, int64_t elements) {
  return const_cast<bf16*>(pointer) + elements;
}

// The operands of a forward pass.
Pointers forward_pointers(const AttentionShape& s, const AttentionForward<bf16>& a) {
  const int64_t C = s.head_dim;
  return {{kQ, advanced(a.qkv, 0)},
          {kK, advanced(a.qkv, s.num_heads * C)},
          {kV, advanced(a.qkv, (s.num_heads + s.num_key_value_heads) * C)},
          {kOut, a.out},
          {kStats, a.lse}};
}
Pointers backward_pointers(const AttentionShape& s, const AttentionBackward<bf16>& a,
                           int64_t first) {
  const int64_t C = s.head_dim, row = first * s.row_stride();
  const int64_t key = row + s.num_heads * C, value = key + s.num_key_value_heads * C;
  return {{kQ, advanced(a.qkv, row)},
          {kK, advanced(a.qkv, key)},
          {kV, advanced(a.qkv, value)},
          {kOut, advanced(a.out, first * s.num_heads * C)},
          {kDout, advanced(a.dout, first * s.num_heads * C)},
          {kStats, const_cast<float*>(a.lse) + first * s.num_heads},
          {kDq, a.dqkv + row},
          {kDk, a.dqkv + key},
          {kDv, a.dqkv + value}};
}

bool same(const AttentionShape& a, const AttentionShape& b) {
  return a.batch_size == b.batch_size && a.seq_length == b.seq_length &&
         a.num_heads == b.num_heads && a.num_key_value_heads == b.num_key_value_heads &&
         a.head_dim == b.head_dim;
}

// A batch of few documents is faster with a plan for few: empty ones cost time, too.
constexpr int64_t kFewDocuments = 64;

}  // namespace

bool fused_attention_takes(const AttentionShape& s) {
  int device = 0, major = 9;
  if (cudaGetDevice(&device) == cudaSuccess) {
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
          "looking at the device");
  }
  const int64_t most_head_dim = major == 9 ? 256 : 128;
  return major >= 8 && s.batch_size > 0 && s.seq_length > 1 && s.head_dim > 0 &&
         s.head_dim % 8 == 0 && s.head_dim <= most_head_dim && s.num_key_value_heads > 0 &&
         s.num_heads % s.num_key_value_heads == 0 &&
         // Places of documents are 32-bit.
         s.batch_size * s.seq_length * s.row_stride() <= std::numeric_limits<int32_t>::max();
}

FusedAttentionLibrary fused_attention_library() {
  int device = 0, major = 0, minor = 0;
  check(cudaGetDevice(&device), "looking at the device");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
        "looking at the device");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
        "looking at the device");
  return {static_cast<int64_t>(cudnnGetVersion()), 10 * major + minor};
}

struct FusedAttention::Plans {
  struct Pair {
    PlanShape shape;
    std::optional<Plan> forward, backward;
  };

  Plans(const AttentionShape& of, bool deterministic, bool forward_only, int64_t most_documents,
        cudaStream_t stream)
      : shape(of),
        handle(stream),
        documents(of, most_documents > of.batch_size ? most_documents : 0, deterministic, stream) {
    const int64_t rows = of.batch_size * of.seq_length;
    add(dense, {of, 0, rows, deterministic}, true, !forward_only);
    if (most_documents <= of.batch_size) return;
    for (const int64_t most : {std::min(kFewDocuments, most_documents), most_documents}) {
      if (!ragged.empty() && ragged.back().shape.documents == most) continue;
      add(ragged.emplace_back(), {of, most, rows, false}, true, !forward_only && !deterministic);
    }
    // cuDNN's deterministic plans for several documents need gigabytes for each.
    if (deterministic && !forward_only)
      add(one_document, {of, 1, of.seq_length, true}, false, true);
  }

  void add(Pair& pair, const PlanShape& of, bool forward, bool backward) {
    const auto make = [&](std::optional<Plan>& plan, Direction direction) {
      plan.emplace(handle, of, direction);
      workspace_bytes = std::max(workspace_bytes, plan->workspace_bytes());
    };
    pair.shape = of;
    if (forward) make(pair.forward, Direction::kForward);
    if (backward) make(pair.backward, Direction::kBackward);
  }

  // For the documents as they are.
  const Pair& pair() const {
    const auto count = static_cast<int64_t>(documents.pieces().size());
    if (count == 0) return dense;
    for (const Pair& pair : ragged) {
      if (count <= pair.shape.documents) return pair;
    }
    CHECK(false, "documents");
    return dense;
  }

  AttentionShape shape;
  Handle handle;
  Documents documents;
  Pair dense, one_document;
  std::list<Pair> ragged;
  size_t workspace_bytes = 0;
};

FusedAttention::FusedAttention(const AttentionShape& shape, bool deterministic, bool forward_only,
                               int64_t most_documents, cudaStream_t stream)
    : plans_(std::make_unique<Plans>(shape, deterministic, forward_only, most_documents, stream)) {}
FusedAttention::~FusedAttention() = default;

size_t FusedAttention::workspace_bytes() const { return plans_->workspace_bytes; }

void FusedAttention::set_documents(std::span<const int32_t> lengths) {
  plans_->documents.set(lengths);
}

void FusedAttention::forward(const AttentionForward<bf16>& a, void* workspace) {
  CHECK(same(a.shape, plans_->shape));
  const Plans::Pair& pair = plans_->pair();
  Pointers pointers = forward_pointers(a.shape, a);
  if (pair.shape.ragged()) plans_->documents.add_all(pointers);
  pair.forward->run(std::move(pointers), workspace);
}

void FusedAttention::backward(const AttentionBackward<bf16>& a, void* workspace) {
  CHECK(same(a.shape, plans_->shape));
  const Plans::Pair& pair = plans_->pair();
  if (pair.backward.has_value()) {
    Pointers pointers = backward_pointers(a.shape, a, 0);
    if (pair.shape.ragged()) plans_->documents.add_all(pointers);
    pair.backward->run(std::move(pointers), workspace);
    return;
  }
  CHECK(plans_->one_document.backward.has_value(), "made for the forward pass alone");
  const auto& pieces = plans_->documents.pieces();
  for (size_t i = 0; i < pieces.size(); ++i) {
    Pointers pointers = backward_pointers(a.shape, a, pieces[i].first);
    plans_->documents.add_one(pointers, i);
    plans_->one_document.backward->run(std::move(pointers), workspace);
  }
}

}  // namespace borealis::cuda
