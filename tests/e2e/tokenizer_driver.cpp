// tokenizer_driver TOKENIZER encode|decode <INPUT >OUTPUT: what a tokenizer makes of texts or ids,
// for comparisons with a peer.
//   encode: INPUT are texts, any bytes. OUTPUT has of each its ids with what surrounds a document,
//   and
//           the text that they stand for, without and with special tokens.
//   decode: INPUT are lists of ids; OUTPUT has the two texts of each.
// Texts and ids (i32) are preceded by their number (u32). On the way it is checked that decoding
// token by token gives the same text and never a part of a character.
#include <fmt/format.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

void put_number(std::string& out, size_t number) {
  const auto value = static_cast<uint32_t>(number);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_decoded(std::string& out, const Tokenizer& tokenizer, StreamDecoder& stream,
                 const std::vector<int32_t>& ids, bool skip_special) {
  const std::string text = tokenizer.decode(ids, skip_special);
  std::string streamed;
  for (const int32_t id : ids) {
    const std::string part = stream.add(id);
    CHECK(is_valid_utf8(part));
    streamed += part;
  }
  streamed += stream.finish();
  CHECK(streamed == text);
  put_number(out, text.size());
  out += text;
}

// The next count and so many items of INPUT.
template <typename Item>
std::vector<Item> take(std::string_view& input) {
  uint32_t count = 0;
  CHECK(input.size() >= sizeof count);
  input.copy(reinterpret_cast<char*>(&count), sizeof count);
  input.remove_prefix(sizeof count);
  std::vector<Item> items(count);
  CHECK(input.size() >= count * sizeof(Item));
  input.copy(reinterpret_cast<char*>(items.data()), count * sizeof(Item));
  input.remove_prefix(count * sizeof(Item));
  return items;
}

void run(const std::string& path, bool encode) {
  const Tokenizer tokenizer{std::filesystem::path(path)};
  TokenEncoder encoder(tokenizer);
  StreamDecoder without_special(tokenizer, true);
  StreamDecoder with_special(tokenizer, false);
  const std::string whole{std::istreambuf_iterator<char>(std::cin), {}};
  std::string out;
  for (std::string_view input = whole; !input.empty();) {
    std::vector<int32_t> ids;
    if (encode) {
      const auto text = take<char>(input);
      encoder.encode_document({text.data(), text.size()}, ids);
      put_number(out, ids.size());
      out.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
    } else {
      ids = take<int32_t>(input);
    }
    put_decoded(out, tokenizer, without_special, ids, true);
    put_decoded(out, tokenizer, with_special, ids, false);
  }
  std::cout << out << std::flush;
}

}  // namespace
}  // namespace borealis

int main(int argc, char** argv) {
  const std::string_view what = argc == 3 ? argv[2] : "";
  if (what != "encode" && what != "decode") {
    std::fprintf(stderr, "usage: %s TOKENIZER encode|decode <INPUT >OUTPUT\n", argv[0]);
    return 1;
  }
  try {
    borealis::run(argv[1], what == "encode");
  } catch (const borealis::Error& error) {
    std::fprintf(stderr, "tokenizer_driver: %s\n", error.what());
    return 1;
  }
  return 0;
}
