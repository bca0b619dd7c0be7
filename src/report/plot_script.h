// What a page of plots does under the pointer: the values at a cross hair, and zoom.
#pragma once

#include <string>
#include <string_view>

namespace borealis {

// The text of a <script> that stands behind all drawings with a data_id and their plot_data().
//   pointer, tap      values of every line near the nearest x
//   drag, horizontal  zooms to the range; double click or double tap: all of it again
//   arrows, Home, End move the cross hair; + and - zoom around it, 0 shows all, Escape hides it
// It fetches nothing, keeps nothing, and puts texts into the page as text alone. Without it the
// page is complete; elements of class "scripted" are shown by it.
std::string plot_script();

// Its two parts, one behind the other.
std::string_view plot_script_drawing();
std::string_view plot_script_pointer();

// The style of what the script adds; colours are those of plot_style().
std::string_view plot_script_style();

}  // namespace borealis
