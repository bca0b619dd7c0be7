// One JSON file that is being read: typed access to its members, and complaints that start with the
// file's name. Every complaint is an Error(kData).
#pragma once

#include <fmt/format.h>
#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace borealis {

class JsonFile {
 public:
  using Element = simdjson::dom::element;

  explicit JsonFile(std::string name) : name_(std::move(name)) {}
  const std::string& name() const { return name_; }

  [[noreturn]] void refuse(const std::string& problem, const std::string& remedy) const {
    throw Error(ErrorKind::kData, fmt::format("{} {}", name_, problem), remedy);
  }
  [[noreturn]] void refuse_damage(const std::string& problem) const {
    refuse(problem, "the file is damaged; fetch or write it again");
  }
  [[noreturn]] void refuse_layout(const std::string& problem) const {
    refuse_damage(fmt::format("is not laid out as a tokenizer.json: {}", problem));
  }
  [[noreturn]] void refuse_part(const std::string& part) const {
    refuse(fmt::format("has {}, which is not supported", part),
           "use a BPE tokenizer of the kind of GPT-2, Llama, Mistral, Gemma or SmolLM, or one from "
           "`borealis tokenizer train`; data that is tokenized already needs none");
  }

  // The parsed text; its elements live as long as the object. Called once.
  Element parse(std::string_view text) {
    Element root;
    if (text.empty()) refuse("is empty", "fetch or write it again");
    const auto error = parser_.parse(text.data(), text.size()).get(root);
    if (error) {
      refuse(fmt::format("is not JSON: {}", simdjson::error_message(error)),
             "fetch or write it again");
    }
    return root;
  }

  // A member of an object, or nullopt if it is absent or null.
  std::optional<Element> find(Element object, std::string_view key) const {
    Element member;
    if (object[key].get(member) || member.is_null()) return std::nullopt;
    return member;
  }
  Element at(Element object, std::string_view key) const {
    const auto member = find(object, key);
    if (!member) refuse_layout(fmt::format("no \"{}\"", key));
    return *member;
  }
  // T: bool, int64_t, double, std::string_view, simdjson::dom::object, simdjson::dom::array.
  template <typename T>
  T as(Element element, std::string_view what) const {
    T value;
    if (element.get<T>().get(value)) refuse_layout(fmt::format("\"{}\" has the wrong type", what));
    return value;
  }
  template <typename T>
  T at_as(Element object, std::string_view key) const {
    return as<T>(at(object, key), key);
  }
  template <typename T>
  T value(Element object, std::string_view key, T fallback) const {
    const auto member = find(object, key);
    return member ? as<T>(*member, key) : fallback;
  }
  std::string text_at(Element object, std::string_view key) const {
    return std::string(at_as<std::string_view>(object, key));
  }
  // "type" of a part of the pipeline.
  std::string type_of(Element part) const {
    return std::string(value<std::string_view>(part, "type", "without a type"));
  }

 private:
  std::string name_;
  simdjson::dom::parser parser_;
};

}  // namespace borealis
