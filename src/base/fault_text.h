// A fault told inside another message: what it says, without what only makes sense at the beginning
// of a line of its own.
#pragma once

#include <exception>
#include <string>

namespace borealis {

// Of an Error: problem and remedy, without its kind. Of a fault of the JSON library: our words,
// with the place in the text or the key, and nothing of the text itself, which may be long, binary
// or somebody's secret. Of another: its own text.
std::string fault_text(const std::exception& fault);

}  // namespace borealis
