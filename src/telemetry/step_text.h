// The numbers of a step as people read them, in few columns. "-": not known.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace borealis {

std::string loss_text(double loss);                      // "3.2144", "nan"
std::string grad_norm_text(std::optional<double> norm);  // "1.203", "1.20e+07"
std::string learning_rate_text(double rate);             // "3.00e-04"
std::string step_time_text(double milliseconds);         // "480.2 ms", "2 min 10 s"
std::string token_rate_text(double tokens_per_second);   // "8 528"
std::string tflops_text(double tflops);                  // "1.234", "23.7"
std::string gemm_share_text(double share);               // "71 %"
std::string bytes_text(int64_t bytes);                   // "1.50 GiB"; 0 is not known

}  // namespace borealis
