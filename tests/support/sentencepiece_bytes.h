// A SentencePiece .model written byte by byte, for tests of what reads it without the library.
#pragma once

#include <string>
#include <vector>

namespace borealis {

// Field 1 is a piece with its text (1) and type (3; 3: control), field 2 the trainer's settings, of
// which 3 is the algorithm (2: BPE).
inline std::string sentencepiece_model(const std::vector<std::string>& pieces) {
  std::string model;
  for (const std::string& piece : pieces) {
    const char type = piece == "<s>" || piece == "</s>" ? 3 : 1;
    const std::string message =
        std::string("\x0a") + static_cast<char>(piece.size()) + piece + "\x18" + type;
    model += std::string("\x0a") + static_cast<char>(message.size()) + message;
  }
  return model + "\x12\x02\x18\x02";
}

}  // namespace borealis
