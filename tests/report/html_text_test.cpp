#include "report/html_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace borealis {
namespace {

using testing::StartsWith;

TEST(HtmlText, EscapesWhatHtmlReads) {
  EXPECT_EQ(escape_html(R"(<script>"a" & b</script>)"),
            "&lt;script&gt;&quot;a&quot; &amp; b&lt;/script&gt;");
}

TEST(HtmlText, KeepsUtf8AndReplacesWhatIsNot) {
  EXPECT_EQ(clean_utf8("θ – 日本 🜁\n\tx"), "θ – 日本 🜁\n\tx");
  EXPECT_EQ(clean_utf8("cut \xE2\x82"), "cut \uFFFD\uFFFD");
  EXPECT_EQ(clean_utf8("\xC0\xAF"), "\uFFFD\uFFFD");                      // overlong
  EXPECT_EQ(clean_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");            // surrogate
  EXPECT_EQ(clean_utf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond U+10FFFF
  EXPECT_EQ(clean_utf8(std::string_view("a\0b\x1b", 4)),
            "a\uFFFD"
            "b\uFFFD");
}

TEST(MarkdownText, ACellCannotLeaveItsTable) {
  EXPECT_EQ(escape_markdown_cell("a|b\nc*d* <i> [x](y) `z`"),
            "a\\|b c\\*d\\* &lt;i> \\[x\\](y) \\`z\\`");
}

TEST(MarkdownText, AFenceIsLongerThanAnyInside) {
  EXPECT_EQ(markdown_fence("plain", "yaml"), "```yaml\nplain\n```\n");
  EXPECT_EQ(markdown_fence("ends\n", "text"), "```text\nends\n```\n");
  EXPECT_THAT(markdown_fence("x ```` y"), StartsWith("`````text\n"));
}

}  // namespace
}  // namespace borealis
