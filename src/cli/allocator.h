// What the program does with memory that it has freed: by default it keeps it (allocator.cpp).
#pragma once

namespace borealis {

// Freed memory goes back to the system within a second. For commands on texts, whose buffers grow
// with a document: what smaller ones took would stay beside them.
void give_back_freed_memory();

}  // namespace borealis
