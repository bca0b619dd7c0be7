// The style sheet of report.html, besides that of its drawings.
#pragma once

#include <string_view>

namespace borealis {

std::string_view report_style();

}  // namespace borealis
