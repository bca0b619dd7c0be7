// A layer of the decoder, forward: the equations that training, evaluation and generation share.
// The attention step is the caller's: over the tokens of a batch, or over a cache of earlier ones.
#pragma once

#include "model/decoder.h"
#include "model/layer_ops.h"

namespace borealis {

// x_middle = x + attention(norm(x));  x_next = x_middle + feed_forward(norm(x_middle))
// x is a.x; x_next may be a.x. attend() makes a.attention of a.qkv, whose queries and keys are
// turned to their positions by then.
template <typename T, class Attend>
void forward_layer(LayerOps<T>& ops, const LayerOffsets& at, const LayerActivations<T>& a,
                   DecoderBuffers<T>& b, const Attend& attend, T* x_next) {
  ops.norm(a.x, at.input_norm, b.normed, a.inv_rms_input);
  if (at.has_rope) {
    ops.project_and_rotate(b.normed, at.qkv, a.qkv);
  } else {
    ops.project(ops.qkv, b.normed, at.qkv, a.qkv);
  }
  attend();
  ops.project(ops.attention_output, a.attention, at.attention_output, b.branch);

  ops.add_norm(a.x, b.branch, at.middle_norm, a.x_middle, b.normed, a.inv_rms_middle);
  ops.project(ops.gate_up, b.normed, at.gate_up, a.gate_up);
  ops.gate(a.gate_up, b.wide);
  ops.project(ops.down, b.wide, at.down, b.branch);
  ops.add(a.x_middle, b.branch, x_next);
}

}  // namespace borealis
