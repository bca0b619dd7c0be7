#include "planner/measured_links.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/expect_error.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

// What doctor prints of these ranks, whose sums take what `links` says.
std::string doctor_document(int64_t hosts, int64_t ranks_per_host, const Links& links) {
  Json document = {{"ranks", Json::array()}, {"all_reduce_f32", Json::array()}};
  for (int64_t rank = 0; rank < hosts * ranks_per_host; ++rank) {
    document["ranks"].push_back({{"rank", rank}, {"host", fmt::format("h{}", rank % hosts)}});
  }
  for (const double bytes : {4096.0, 1e6, 256e6}) {
    document["all_reduce_f32"].push_back(
        {{"bytes", bytes}, {"seconds", all_reduce_seconds(links, bytes, hosts, ranks_per_host)}});
  }
  return document.dump();
}

constexpr Links kTruth = {.within_host_bytes_per_s = 8e9,
                          .within_host_latency_s = 3e-6,
                          .between_hosts_bytes_per_s = 6e8,
                          .between_hosts_latency_s = 40e-6};

TEST(MeasuredLinks, AreThoseThatTheSumsCrossed) {
  const auto within = parse_measured_links(doctor_document(1, 4, kTruth), "within.json");
  const auto between = parse_measured_links(doctor_document(3, 4, kTruth), "between.json");
  EXPECT_EQ(within.hosts, 1);
  EXPECT_EQ(between.hosts, 3);
  EXPECT_EQ(between.ranks_per_host, 4);
  // In whichever order; latency is the smaller part of the largest sum, by which bandwidth is off.
  Links links = {.within_host_bytes_per_s = 1, .between_hosts_bytes_per_s = 1};
  take_measured_links({between, within}, links);
  EXPECT_NEAR(links.within_host_bytes_per_s / kTruth.within_host_bytes_per_s, 1, 1e-3);
  EXPECT_NEAR(links.within_host_latency_s / kTruth.within_host_latency_s, 1, 1e-3);
  EXPECT_NEAR(links.between_hosts_bytes_per_s / kTruth.between_hosts_bytes_per_s, 1, 1e-3);
  EXPECT_NEAR(links.between_hosts_latency_s / kTruth.between_hosts_latency_s, 1, 1e-3);
}

TEST(MeasuredLinks, WhatWasNotCrossedStaysAsItWas) {
  Links links = kTruth;
  links.between_hosts_bytes_per_s = 123;
  take_measured_links({parse_measured_links(doctor_document(1, 2, kTruth), "d.json")}, links);
  EXPECT_EQ(links.between_hosts_bytes_per_s, 123);
}

TEST(MeasuredLinks, RefusesWhatMeasuredNone) {
  const auto parse = [](const std::string& text) { return parse_measured_links(text, "d.json"); };
  EXPECT_ERROR(parse("{"), ErrorKind::kData, "d.json is not what doctor prints");
  EXPECT_ERROR(parse("{}"), ErrorKind::kData, "d.json is not what doctor prints");
  EXPECT_ERROR(parse(R"({"ranks": [{"host": "a"}], "all_reduce_f32": []})"), ErrorKind::kData,
               "d.json has no sums", "two or more ranks");
  EXPECT_ERROR(parse(R"({"ranks": [{"host": "a"}, {"host": "a"}, {"host": "b"}],
                         "all_reduce_f32": [{"bytes": 8, "seconds": 1}]})"),
               ErrorKind::kData, "different numbers of ranks");
  EXPECT_ERROR(parse(R"({"ranks": [{"host": "a"}, {"host": "a"}],
                         "all_reduce_f32": [{"bytes": 8, "seconds": 0}]})"),
               ErrorKind::kData, "a sum of 8 bytes in 0 s");
  Links slow = kTruth;
  slow.within_host_bytes_per_s = 1e6;
  EXPECT_ERROR(
      take_measured_links({parse_measured_links(doctor_document(2, 2, kTruth), "d.json")}, slow),
      ErrorKind::kData, "d.json sums 4096 bytes over 2 hosts");
}

}  // namespace
}  // namespace borealis
