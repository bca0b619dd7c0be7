// checksums.xxh128 in a checkpoint's folder: a line a file, "<32 hex digits>  <path in the
// folder>", which `xxh128sum -c checksums.xxh128` checks, too. It lists every file but itself.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/direct_file.h"

namespace borealis {

inline constexpr const char* kChecksumsFile = "checksums.xxh128";

using FileChecksums = std::map<std::string, std::string>;  // path in the folder -> hex digits

std::string checksums_text(const FileChecksums& checksums);
// Throws Error(kData): a line of another form, a path that leaves the folder, a file named twice.
FileChecksums parse_checksums(std::string_view text, const std::filesystem::path& path);
// Throws Error(kFile) where the folder has no checksums.
FileChecksums read_checksums(const std::filesystem::path& folder);

// Paths in the folder, sorted; of its subfolders' files, too. Throws Error(kFile).
std::vector<std::string> files_beneath(const std::filesystem::path& folder);
// Whether the path in a model's folder is of a file that Borealis writes and reads: weights, state,
// configuration, tokenizer. (A README beside them may lack a checksum.)
bool needs_checksum(const std::string& file);
// Throws Error(kData) naming a file of the folder that needs a checksum, that `wanted` picks, and
// that has none: a list that lost a line would let it pass unverified.
void require_listed(const std::filesystem::path& folder, const FileChecksums& checksums,
                    const std::function<bool(const std::string&)>& wanted);

// Reads a file of the folder. Throws Error(kData) naming it if its content has another checksum,
// Error(kFile) if it cannot be read.
void verify_file(const std::filesystem::path& folder, const std::string& file,
                 const std::string& checksum, DirectBlocks& blocks);
// Text of a file of the folder, verified.
std::string read_verified_text(const std::filesystem::path& folder, const std::string& file,
                               const FileChecksums& checksums);

}  // namespace borealis
