// A layer of the decoder, forward: the equations that training, evaluation and generation share.
// The attention step is the caller's: over the tokens of a batch, or over a cache of earlier ones.
#pragma once

#include "model/decoder.h"
#include "model/decoder_kernels.h"

namespace borealis {

// x_middle = x + attention(norm(x));  x_next = x_middle + feed_forward(norm(x_middle))
// x is a.x; x_next may be a.x. attend() makes a.attention of a.qkv, whose queries and keys are
// turned to their positions by then.
template <typename T, class Attend>
void forward_layer(DecoderKernels<T>& kernels, const LayerOffsets& at, const LayerActivations<T>& a,
                   DecoderBuffers<T>& b, const Attend& attend, T* x_next) {
  kernels.norm(a.x, at.input_norm, b.normed, a.inv_rms_input);
  if (at.has_rope) {
    kernels.project_and_rotate(b.normed, at.qkv, a.qkv);
  } else {
    kernels.project(kernels.qkv, b.normed, at.qkv, a.qkv);
  }
  attend();
  kernels.project(kernels.attention_output, a.attention, at.attention_output, b.branch);

  kernels.add_norm(a.x, b.branch, at.middle_norm, a.x_middle, b.normed, a.inv_rms_middle);
  kernels.project(kernels.gate_up, b.normed, at.gate_up, a.gate_up);
  kernels.gate(a.gate_up, b.wide);
  kernels.project(kernels.down, b.wide, at.down, b.branch);
  kernels.add(a.x_middle, b.branch, x_next);
}

}  // namespace borealis
