// Intel's Advanced Matrix Extensions: tile registers, which the operating system has to be asked
// for (Linux 5.16 and later, arch_prctl).
#pragma once

namespace borealis {

// Whether this CPU multiplies tiles of bf16, the kernel lets this process, and the cap that is set
// (limit_cpu_isa) allows it.
bool amx_products_supported();

// Whether our own kernels may use it, where there is any: for limit_cpu_isa, before scratch is
// sized.
void allow_amx(bool allowed);

}  // namespace borealis
