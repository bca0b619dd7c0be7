#include "report/report_audit.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "config/tokenizer_lookup.h"
#include "support/expect_error.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kVocabulary = 1000;

// A report of our own in the published layout: two layers counts of one model on 4 ranks. By its
// architecture a token costs 6 [L (2 64² + 2·64·32 + 3·64·128 + 2·64·256) + 1000·64] FLOPs, 1 219
// 584 with two layers.
struct Numbers {
  std::string tflops_2 = "12.20";
  std::string rate_2 = "10000000";
  std::string raw_tflops_2 = "12.196";
  std::string last_step = "12.1";
  std::string size_2 = "0.00";
  std::string division = "40000000 / 4 = 10000000.0";
  std::string more_sizes =
      "[tiny-nLayers3][nlayers: 3] env.MODEL_ARCH: tiny-nLayers3, args.global_batch_size: 8, "
      "created_at: s3\t0.000239040\n";
};

std::string report_text(const Numbers& n) {
  return "# Tiny\n\n| model-arch | nlayers | model size (B) | tpgps | TFLOPs "
         "|\n|:--|:--|:--|:--|:--|\n" +
         fmt::format("| Tiny | 2 | {} | {} | {} |\n| Tiny | 3 | 0.00 | 8000000 | 13.10 |\n\n",
                     n.size_2, n.rate_2, n.tflops_2) +
         "    ```bash\n    TOKENIZER_MODEL=someone/tokens \\\n    ```\n\n"
         "    ```tiny-architecture.yaml\n    HEADS: 4\n    HIDDEN: 64\n    FFN_HIDDEN_SIZE: 128\n"
         "    NUM_KV_HEAD: 2\n    SEQ: 256\n    ```\n\n- TFLOPs data:\n\n    ```bash\n" +
         fmt::format("    [M] [id:M, 1, tiny-nLayers2, 8, s2][TFLOPS-lm:{}]\t{}\n", n.last_step,
                     n.raw_tflops_2) +
         "    [M] [id:M, 1, tiny-nLayers3, 8, s3][TFLOPS-lm:13.0]\t13.097\n    ```\n\n"
         "- Tiny (global) tokens per second:\n\n    ```bash\n"
         "    env.MODEL_ARCH: tiny-nLayers2, args.global_batch_size: 8, created_at: "
         "s2\t40000000.2\n"
         "    env.MODEL_ARCH: tiny-nLayers3, args.global_batch_size: 8, created_at: "
         "s3\t32000000.3\n"
         "    ```\n    - Corrections:\n\n        ```bash\n        " +
         n.division + "\n        ```\n\n- Tiny Model size:\n\n    ```bash\n" +
         "    [tiny-nLayers2][nlayers: 2] env.MODEL_ARCH: tiny-nLayers2, args.global_batch_size: "
         "8, "
         "created_at: s2\t0.000202048\n    " +
         n.more_sizes + "    ```\n";
}

std::vector<AuditFinding> audit(const Numbers& numbers) {
  return audit_report(parse_published_report(report_text(numbers), "r.md"), kVocabulary);
}

std::vector<std::string> kinds_of(const std::vector<AuditFinding>& findings) {
  std::vector<std::string> kinds;
  for (const AuditFinding& one : findings) kinds.push_back(one.kind);
  return kinds;
}

TEST(PublishedReport, IsReadAsItStands) {
  const PublishedReport report = parse_published_report(report_text({}), "r.md");
  ASSERT_EQ(report.rows.size(), 2u);
  EXPECT_EQ(report.rows[1].family, "tiny");
  EXPECT_EQ(report.rows[1].layers, 3);
  EXPECT_EQ(report.rows[1].tflops.text, "13.10");
  EXPECT_EQ(report.rows[1].tflops.line, 6);
  EXPECT_EQ(report.tokenizer_model, "someone/tokens");
  EXPECT_EQ(report.architectures.at("tiny").at(0).values.at("NUM_KV_HEAD"), 2);
  ASSERT_EQ(report.lists.size(), 3u);
  EXPECT_EQ(report.lists[0].runs[0].last_step.value, 12.1);
  EXPECT_EQ(report.lists[1].quantity, PublishedQuantity::kTokens);
  EXPECT_EQ(report.lists[2].quantity, PublishedQuantity::kSize);
  EXPECT_EQ(report.lists[2].runs[1].stamp, "s3");
  EXPECT_EQ(report.divisions.at(0).divisor.value, 4);
  EXPECT_ERROR(parse_published_report("# nothing\n", "r.md"), ErrorKind::kData,
               "r.md has no table of results");
}

TEST(ReportAudit, AConsistentReportHasNoFindings) {
  for (const AuditFinding& one : audit({})) ADD_FAILURE() << one.kind << ": " << one.text;
}

TEST(ReportAudit, FindsWhatEachNumberContradicts) {
  Numbers n;
  n.last_step = "1.39";
  EXPECT_THAT(kinds_of(audit(n)), ElementsAre("last_step"));
  n = {};
  n.division = "40000000 / 4 = 10000500.5";
  n.rate_2 = "10000501";
  EXPECT_THAT(kinds_of(audit(n)), ElementsAre("division")) << "the table follows the division";
  n = {};
  n.rate_2 = "10000400";
  EXPECT_THAT(audit(n).at(0).text, HasSubstr("tiny x 2: 10000400 for 10000000.050"));
  n = {};
  n.more_sizes = "";
  EXPECT_THAT(kinds_of(audit(n)), ElementsAre("missing_row"));
  n = {};
  n.size_2 = "0.31";
  EXPECT_THAT(kinds_of(audit(n)), ElementsAre("size"));
  n = {};
  n.tflops_2 = "12.17";  // 12.196 is neither rounded nor truncated to that
  EXPECT_THAT(kinds_of(audit(n)), ElementsAre("value"));
  n = {};
  n.raw_tflops_2 = "12.209";  // truncated to 12.20; 13.097 is rounded to 13.10
  EXPECT_THAT(kinds_of(audit(n)), ElementsAre("division"));
  n = {};
  n.tflops_2 = n.raw_tflops_2 = n.last_step = "19.99";
  EXPECT_THAT(kinds_of(audit(n)), ElementsAre("formula"));
}

// The report that this program is about: the known blemishes, and no others.
TEST(ReportAudit, OfTheReportOfAuroraGpt) {
  const std::string path = "/work/shared/reference/aurora-gpt-small.md";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not on this machine";
  const PublishedReport report = parse_published_report(read_text_file(path), path);
  EXPECT_EQ(report.rows.size(), 12u);
  const auto findings = audit_report(report, known_vocab_size(report.tokenizer_model));
  EXPECT_THAT(kinds_of(findings),
              ElementsAre("formula", "division", "division", "division", "last_step", "missing_row",
                          "missing_row", "missing_row"));
  EXPECT_THAT(findings[0].text,
              HasSubstr("smollm3: the table's TFLOPs follow the formula that "
                        "counts no keys and values, the raw data the LM formula"));
  EXPECT_THAT(findings[1].text, HasSubstr("175552 / 24 is 7314.67, not 7315.5"));
  EXPECT_THAT(findings[4].text, HasSubstr("12.39282"));
  EXPECT_THAT(findings[6].text, HasSubstr("llama3 x 4"));
}

TEST(PublishedReport, SaysHowItsRunsWereMade) {
  std::string text = report_text({});
  EXPECT_EQ(parse_published_report(text, "r.md").micro_batch_size, 1) << "where it does not say";
  text.replace(text.find("    TOKENIZER_MODEL="), 4, "    MICRO_BATCH=3 \\\n    ");
  const PublishedReport report = parse_published_report(text, "r.md");
  EXPECT_EQ(report.micro_batch_size, 3);
  EXPECT_EQ(report.tokenizer_model, "someone/tokens");
  EXPECT_EQ(report.lists.at(0).runs.at(0).hosts, 1) << "of [id:M, 1, tiny-nLayers2, 8, s2]";
  EXPECT_EQ(report.lists.at(1).runs.at(0).hosts, 0) << "where the line does not say";
  const auto model = published_model(report, "tiny", 5, kVocabulary);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->num_hidden_layers, 5);
  EXPECT_EQ(model->head_dim, 16);
  EXPECT_FALSE(published_model(report, "huge", 5, kVocabulary));
}

// Sizes that no model has must not overflow.
TEST(ReportAudit, SurvivesHugeNumbers) {
  std::string text = report_text({});
  text.replace(text.find("HIDDEN: 64"), 10, "HIDDEN: 9223372036854775807");
  EXPECT_THAT(audit_report(parse_published_report(text, "r.md"), kVocabulary), IsEmpty());
}

}  // namespace
}  // namespace borealis
