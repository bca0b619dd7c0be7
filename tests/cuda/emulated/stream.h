// The queue behind a stream of the emulated devices.
#pragma once

#include <functional>

#include "cuda/emulated/cuda_runtime_api.h"

namespace borealis::emulated {

// Done by the stream's thread behind what is queued already; at once on the null stream.
void queue(cudaStream_t stream, std::function<void()> work);

}  // namespace borealis::emulated
