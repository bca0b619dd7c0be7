#include "report/html_parts.h"

#include <fmt/format.h>

#include "base/check.h"
#include "report/html_text.h"
#include "report/plot_data.h"
#include "report/plot_script.h"
#include "report/report_style.h"

namespace borealis {
namespace {

std::string table_cell(const ReportTable& table, size_t row, size_t column) {
  const char* tag = column == 0 ? "th" : "td";
  const char* scope = column == 0 ? " scope=\"row\"" : "";
  const char* number = table.numeric[column] ? " class=\"num\"" : "";
  std::string swatch;
  if (column == 0 && !table.colors.empty()) {
    const int color = table.colors[row];
    swatch = fmt::format(R"(<span class="swatch{}" aria-hidden="true"></span>)",
                         color >= 0 ? fmt::format(" c{}", color) : "");
  }
  return fmt::format("<{0}{1}{2}>{3}{4}</{0}>", tag, scope, number, swatch,
                     escape_html(table.rows[row][column]));
}

}  // namespace

std::string html_page_begin(const std::string& title, const std::string& subtitle, bool wide) {
  const std::string escaped = escape_html(title);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<title>{} · Borealis report</title>\n<style>{}{}{}</style>\n</head>\n<body>\n<main{}>\n"
      "<header>\n<h1>{}</h1>\n{}</header>\n",
      escaped, plot_style(), report_style(), plot_script_style(),
      wide ? " class=\"wide-page\"" : "", escaped, paragraph(subtitle, "subtitle"));
}

std::string html_page_end(const std::string& version, bool scripted) {
  return fmt::format("<footer>Written by Borealis {}.</footer>\n</main>\n{}</body>\n</html>\n",
                     escape_html(version),
                     scripted ? "<script>" + plot_script() + "</script>\n" : "");
}

std::string script_hint() {
  return "<p class=\"scripted small note\" hidden>Point at a plot for its values; drag to zoom, "
         "double "
         "click for all of it. By keyboard: Tab to a plot, then arrow keys, + and -, 0 for all of "
         "it.</p>\n";
}

std::string paragraph(const std::string& text, const std::string& css_class) {
  if (css_class.empty()) return fmt::format("<p>{}</p>\n", escape_html(text));
  return fmt::format("<p class=\"{}\">{}</p>\n", css_class, escape_html(text));
}

std::string heading(const std::string& text) {
  return fmt::format("<h2>{}</h2>\n", escape_html(text));
}

std::string html_table(const ReportTable& table, const std::string& css_class, bool with_header) {
  const std::string caption = escape_html(table.caption);
  std::string html = fmt::format(
      R"(<div class="scroll" tabindex="0" role="region" aria-label="{0}"><table class="{1}">)"
      "<caption{2}>{0}</caption>\n",
      caption, css_class, table.caption_shown ? "" : " class=\"unseen\"");
  if (with_header) {
    html += "<thead><tr>";
    for (size_t column = 0; column < table.header.size(); ++column) {
      html +=
          fmt::format(R"(<th scope="col"{}>{}</th>)", table.numeric[column] ? " class=\"num\"" : "",
                      escape_html(table.header[column]));
    }
    html += "</tr></thead>\n";
  }
  html += "<tbody>\n";
  for (size_t row = 0; row < table.rows.size(); ++row) {
    const bool total = !table.colors.empty() && table.colors[row] < 0;
    html += total ? "<tr class=\"total\">" : "<tr>";
    for (size_t column = 0; column < table.header.size(); ++column) {
      html += table_cell(table, row, column);
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string figure(const std::string& drawing, const std::string& caption) {
  return fmt::format("<figure>{}<figcaption>{}</figcaption></figure>\n", drawing,
                     escape_html(caption));
}

std::string responsive_plot(PlotSpec plot) {
  std::string html = "<div class=\"wide\">" + render_plot(plot, kWidePlot) + "</div>";
  plot.id += "-narrow";
  return html + "<div class=\"narrow\">" + render_plot(plot, kNarrowPlot) + "</div>";
}

std::string interactive_plot(PlotSpec plot, bool narrow) {
  plot.data_id = plot.id;
  const std::string drawing =
      narrow ? "<div>" + render_plot(plot, kNarrowPlot) + "</div>" : responsive_plot(plot);
  return drawing + plot_data(plot);
}

std::string html_choice(const std::string& id, const std::string& question,
                        const std::vector<Choice>& choices) {
  CHECK(choices.size() <= 3);  // the style sheet knows of so many
  std::string html = fmt::format(
      "<div class=\"choice\" role=\"group\" aria-label=\"{0}\"><span class=\"name\">{0}</span>\n",
      escape_html(question));
  for (size_t i = 0; i < choices.size(); ++i) {
    html += fmt::format(
        R"(<input type="radio" name="{0}" id="{0}-{1}"{2}><label for="{0}-{1}">{3}</label>)", id, i,
        i == 0 ? " checked" : "", escape_html(choices[i].name));
  }
  for (const Choice& choice : choices) {
    html += "\n<div class=\"panel\">" + choice.content + "</div>";
  }
  return html + "</div>\n";
}

}  // namespace borealis
