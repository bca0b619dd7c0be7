// oneDNN's matrix product as far as kernels/onednn/linear.cpp uses it, as plain sums of any types:
// where the CPU has no bf16 of its own, oneDNN multiplies none.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#define DNNL_VERSION_MAJOR 3
#define DNNL_ARG_SRC 1
#define DNNL_ARG_DST 17
#define DNNL_ARG_WEIGHTS 33
#define DNNL_ARG_SCRATCHPAD 80

namespace dnnl {

struct engine {
  enum class kind { cpu };
  engine(kind, int) {}
};
struct stream {
  explicit stream(const engine&) {}
  void wait() const {}
};
struct memory {
  using dims = std::vector<int64_t>;
  enum class data_type { f32, bf16 };
  struct desc {
    dims sizes, strides;
    data_type type = data_type::f32;

    desc() = default;
    desc(dims with_sizes, data_type of_type, dims with_strides)
        : sizes(std::move(with_sizes)), strides(std::move(with_strides)), type(of_type) {}
    int64_t get_size() const { return 0; }
  };
  memory(desc of_desc, const engine&, void* at) : description(std::move(of_desc)), data(at) {}
  void set_data_handle(void* at) { data = at; }

  desc description;
  void* data;
};
enum class scratchpad_mode { user };
struct post_ops {
  bool adds = false;

  void append_sum(float) { adds = true; }
};
struct primitive_attr {
  bool adds = false;

  void set_post_ops(const post_ops& ops) { adds = ops.adds; }
  void set_scratchpad_mode(scratchpad_mode) {}
};

class matmul {
 public:
  struct primitive_desc {
    memory::desc a, b, c;
    bool adds = false;

    primitive_desc(const engine&, memory::desc src, memory::desc weights, memory::desc dst,
                   const primitive_attr& attributes)
        : a(std::move(src)), b(std::move(weights)), c(std::move(dst)), adds(attributes.adds) {}
    const memory::desc& src_desc() const { return a; }
    const memory::desc& weights_desc() const { return b; }
    const memory::desc& dst_desc() const { return c; }
    memory::desc scratchpad_desc() const { return {}; }
    const char* impl_info_str() const { return "plain sums"; }
  };

  explicit matmul(const primitive_desc& desc) : adds_(desc.adds) {}
  void execute(const stream&, const std::unordered_map<int, memory>& operands) const;

 private:
  bool adds_;
};

}  // namespace dnnl
