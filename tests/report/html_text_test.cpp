#include "report/html_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace borealis {
namespace {

using ::testing::StartsWith;

TEST(HtmlText, EscapesWhatHtmlReads) {
  EXPECT_EQ(escape_html(R"(<script>"a" & b</script>)"),
            "&lt;script&gt;&quot;a&quot; &amp; b&lt;/script&gt;");
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
