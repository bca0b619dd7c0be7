// oneDNN's choice of instructions.
#pragma once

#include <string>

namespace borealis {

enum class OneDnnCap { kAvx512Bf16, kAvx512, kAvx2, kSse4 };

void limit_onednn_isa(OneDnnCap cap);  // before any other use of oneDNN (CHECK)
std::string onednn_isa_name();         // what it uses: "avx2", "avx512_core_bf16", ...
bool onednn_has_avx512();
bool onednn_multiplies_bf16();    // whether that includes bf16 products
bool onednn_multiplies_by_amx();  // whether those are AMX's

}  // namespace borealis
