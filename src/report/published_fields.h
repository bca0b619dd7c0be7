// Lines of a published report, and what stands in them: numbers, names, cells of tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/published_report.h"

namespace borealis {

// What stands between two marks; nothing if one is missing.
std::string_view text_between(std::string_view text, std::string_view before,
                              std::string_view after);
std::optional<int64_t> published_integer(std::string_view text);
// "8018", "66.75", "5,780.71"; not "nan", nor what only begins with a number.
std::optional<PublishedNumber> published_number(std::string_view text, int64_t line);

// "llama3-3b" of "llama3-3B-nLayers14". Tables and raw data escape a name in two ways (html_text.h,
// publish/raw_data.cpp): what only one of them keeps is left out.
std::string published_family(std::string_view name);
// A machine's name by the same rule, without ", 2 cores".
std::string published_machine(std::string_view name);

// Of a row of a table, without the escapes of Markdown; none if the line is no such row.
std::vector<std::string> published_cells(std::string_view line);
PublishedConfiguration published_configuration(const std::string& cell);
// "8018 to 8102"; its numbers are not known where it is none.
PublishedRange published_range(std::string_view cell, int64_t line);

// A line of raw data: "<name>-nLayers<n>" of a run, what else names it, and a value.
std::optional<PublishedRun> published_run(std::string_view text, int64_t line);
std::optional<PublishedDivision> published_division(std::string_view text, int64_t line);

}  // namespace borealis
