// Where documents end in the text of a file.
#pragma once

#include <cstddef>
#include <string_view>

#include "tokenizer/documents.h"

namespace borealis {

// The first end of a document whose last byte is at `from` or behind; npos if there is none before
// the end of the text (of a whole file: always).
size_t first_document_end(std::string_view text, size_t from, DocumentUnit unit);
// The last end of a document whose last byte is at `from` or behind; 0 if there is none.
size_t last_document_end(std::string_view text, size_t from, DocumentUnit unit);
// A document without the blank lines around it and the end of its last line (of a paragraph:
// without the blanks at its end). Empty for blank lines. A whole file stays as it is.
std::string_view trimmed_document(std::string_view text, DocumentUnit unit);

}  // namespace borealis
