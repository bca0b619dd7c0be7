// Weights in forms that are not read. A pickle runs what code it likes in whoever opens it;
// Borealis opens none, but says what it found and how to get safetensors from it.
#pragma once

#include <filesystem>

namespace borealis {

// Throws Error(kData) naming the first file of a foreign form, judged by its name alone, that
// `path` is or holds: pytorch_model*.bin, *.pt, *.pth, *.ckpt, *.distcp, *.h5, *.msgpack, *.gguf, a
// LoRA adapter; also in a folder that its `latest` names. Returns if there is none.
void refuse_foreign_weights(const std::filesystem::path& path);

}  // namespace borealis
