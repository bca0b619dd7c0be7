#include "planner/machine_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/accounting.h"
#include "planner/planner.h"
#include "planner/stack_memory.h"
#include "support/expect_error.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::report_llama3;
using testing::report_smollm3;

const std::string kSource = BOREALIS_SOURCE_DIR;

MachineModel machine_named(const std::string& name) { return find_machine(name, kSource); }

// The report's run, on 2 hosts of 12 ranks.
RunConfig report_run(const ModelConfig& model) {
  RunConfig config;
  config.model = model;
  config.batch = {
      .seq_length = 8192, .micro_batch_size = 1, .grad_accum_steps = 2, .global_batch_size = 48};
  config.parallel.world_size = 24;
  config.output.save_checkpoints = false;
  return config;
}

MachinePoint report_point(const ModelConfig& model, std::optional<double> tokens = std::nullopt) {
  return plan_point(report_run(model), machine_named("aurora-pvc-tile"), 2, 12, tokens, 1);
}

// "OOM for LLama3 @ 16 layers and SmolLM3 @ 20 layers", and what is in its table ran.
TEST(MachinePlan, MemoryEndsWhereTheReportSaysSo) {
  EXPECT_TRUE(report_point(report_llama3(14)).fits);
  EXPECT_FALSE(report_point(report_llama3(16)).fits);
  EXPECT_TRUE(report_point(report_smollm3(18)).fits);
  EXPECT_FALSE(report_point(report_smollm3(20)).fits);
  EXPECT_EQ(report_point(report_llama3(4)).most_layers, 14);
}

TEST(MachinePlan, MemoryOfTheReferenceByHand) {
  const MachineModel machine = machine_named("aurora-pvc-tile");
  RunConfig config = report_run(report_llama3(4));
  const int64_t N = 1'975'544'832, tokens = 8192;
  const int64_t layer = 24 * 3072 + 10 * 3072 + 8 * 8192;
  const int64_t logits = tokens * 10 * 256000;
  const auto total = [&] { return total_bytes(rank_memory(config, machine, 2, 12, 1)); };
  EXPECT_EQ(total(), 8 * N + 12 * N / 24 + 4 * tokens * layer + logits + machine.reserve_bytes);
  config.recompute.enabled = true;
  EXPECT_EQ(total(),
            8 * N + 12 * N / 24 + tokens * (4 * 2 * 3072 + layer) + logits + machine.reserve_bytes);
  config.parallel.zero_stage = 3;
  EXPECT_EQ(total(),
            16 * N / 24 + tokens * (4 * 2 * 3072 + layer) + logits + machine.reserve_bytes);
}

// Our own program's memory is the plan of its arenas.
TEST(MachinePlan, MemoryOfOurProgramIsItsPlan) {
  MachineModel machine = machine_named("h100-80g");
  machine.gpu_multiprocessors = 0;  // a machine of CPUs
  const RunConfig config = report_run(report_llama3(4));
  const MemoryPlan plan =
      plan_memory(make_run_layout(config, 2), ProfiledSteps(), 0, machine.reserve_bytes);
  const int64_t ranks = config.parallel.world_size;
  EXPECT_EQ(total_bytes(rank_memory(config, machine, 1, ranks, 2)), plan.total_bytes());
}

// What cudaMemGetInfo said at the end of the report's runs on an H100 80GB HBM3
// (docs/results/h100). A hundredth is more than anything but a class left out comes to.
TEST(MachinePlan, MemoryOfAnH100IsWhatWasMeasured) {
  struct Measured {
    ModelConfig model;
    bool deterministic, recompute;
    double bytes;
  };
  const MachineModel machine = machine_named("h100-80g");
  for (const Measured& run : {Measured{report_llama3(4), true, false, 39282606080.0},
                              Measured{report_llama3(4), true, true, 37971886080.0},
                              Measured{report_llama3(4), false, false, 36162043904.0},
                              Measured{report_llama3(14), false, false, 57311821824.0},
                              Measured{report_smollm3(18), false, false, 51894878208.0}}) {
    RunConfig config = report_run(run.model);
    config.parallel.world_size = 1;
    config.machine.deterministic = run.deterministic;
    config.recompute.enabled = run.recompute;
    const auto planned = static_cast<double>(total_bytes(rank_memory(config, machine, 1, 1, 2)));
    EXPECT_NEAR(planned / run.bytes, 1, 0.01) << config.model.num_hidden_layers;
  }
}

// Where memory is short fewer rows of logits are held at a time.
TEST(MachinePlan, LogitsOfAGpuTakeWhatIsLeft) {
  const MachineModel machine = machine_named("h100-80g");
  RunConfig config = report_run(report_llama3(26));
  config.parallel.world_size = 1;
  const GpuProfile gpu = *machine.gpu();
  const auto head_rows = [&] { return fitting_layout(config, 2, &gpu).decoder.head_rows; };
  EXPECT_EQ(head_rows(), 4096);
  config.model = report_llama3(14);
  EXPECT_EQ(head_rows(), 8192);
  config.model = report_llama3(40);  // never fits
  EXPECT_EQ(head_rows(), 1024);
}

TEST(MachinePlan, AGpuRunMayDoWithoutTheSameBits) {
  const MachineModel machine = machine_named("h100-80g");
  RunConfig config = report_run(report_llama3(28));
  config.parallel.world_size = 1;
  const GpuProfile gpu = *machine.gpu();
  const RunLayout layout = fitting_layout(config, 2, &gpu);
  const Prediction prediction = predict(config, layout, 0, 0);
  ASSERT_FALSE(prediction.fits);
  EXPECT_THAT(ways_to_fit(config, prediction, 2),
              ::testing::Contains(::testing::HasSubstr("DETERMINISTIC=0")));
}

TEST(MachinePlan, ShardedStateTakesLessMemoryARank) {
  const MachineModel machine = machine_named("h100-80g");
  RunConfig config = report_run(report_llama3(4));
  const auto total = [&](int64_t stage, int64_t ranks) {
    config.parallel.zero_stage = stage;
    return total_bytes(rank_memory(config, machine, 1, ranks, 2));
  };
  EXPECT_EQ(total(3, 1), total(0, 1)) << "of one rank nothing is sharded";
  for (const int64_t stage : {1, 2, 3}) EXPECT_LT(total(stage, 24), total(stage - 1, 24));
}

// Two ranks of a host of CPUs have half of its cores and memory each, and take twice as long over
// everything but what a step costs whatever its size.
TEST(MachinePlan, RanksShareTheCoresOfAHost) {
  MachineModel machine = machine_named("h100-80g");
  machine.gpu_multiprocessors = 0;
  machine.cores_per_host = 8;
  machine.ranks_per_host = 1;
  machine.links.within_host_bytes_per_s = machine.links.between_hosts_bytes_per_s = 1e30;
  machine.links.within_host_latency_s = machine.links.between_hosts_latency_s = 0;
  RunConfig config = report_run(report_llama3(4));
  config.parallel.world_size = 2;
  const MachinePoint alone = plan_point(config, machine, 2, 1, {}, 3);
  const MachinePoint shared = plan_point(config, machine, 1, 2, {}, 3);
  const double step_s = machine.seconds()[kSteps];
  EXPECT_NEAR((shared.step_s - step_s) / (alone.step_s - step_s), 2, 1e-9);
  EXPECT_EQ(machine.rank_memory_bytes(2), machine.memory_bytes / 2);
  EXPECT_EQ(shared.total_bytes, total_bytes(rank_memory(config, machine, 1, 2, 4)))
      << "four threads a rank, whatever the planning machine has";
  EXPECT_EQ(alone.total_bytes, total_bytes(rank_memory(config, machine, 2, 1, 8)));
  EXPECT_LT(shared.most_layers, alone.most_layers);
  machine.cores_per_host = 0;
  EXPECT_NEAR(plan_point(config, machine, 1, 2, {}, 3).step_s, alone.step_s, 1e-9)
      << "ranks with devices of their own";
}

// A model of which a GPU holds thousands of layers.
RunConfig narrow_run(int64_t layers) {
  RunConfig config = report_run(testing::small_llama(layers));
  config.batch.seq_length = 128;
  config.parallel.world_size = 1;
  return config;
}

TEST(MachinePlan, MemoryEndsWhereItDoesOrIsSaidNotTo) {
  MachineModel machine = machine_named("h100-80g");
  const auto point = [&](int64_t layers) {
    return plan_point(narrow_run(layers), machine, 1, 1, {}, 1);
  };
  // Of a GPU's memory a run leaves half a per cent.
  const auto memory_for = [](int64_t bytes) { return bytes * 200 / 199 + 2; };
  machine.memory_bytes = memory_for(point(700).total_bytes);
  const MachinePoint ends = point(700);
  EXPECT_TRUE(ends.fits);
  EXPECT_EQ(ends.most_layers, 700);
  const MachinePoint too_deep = point(701);
  EXPECT_FALSE(too_deep.fits);
  EXPECT_EQ(too_deep.most_layers, 700);
  machine.memory_bytes = memory_for(point(10000).total_bytes);
  const MachinePoint endless = point(10000);
  EXPECT_TRUE(endless.fits);
  EXPECT_FALSE(endless.most_layers.has_value());
  EXPECT_THAT(memory_end_lines({endless}),
              ElementsAre("small: memory does not end within 10000 layers"));
  const auto json = nlohmann::json::parse(machine_plan_json(machine, {endless}));
  EXPECT_TRUE(json["points"][0]["most_layers"].is_null());
}

// Of a limit below the machine's memory a run keeps 2 % free.
TEST(MachinePlan, AGivenLimitIsWhereMemoryEnds) {
  constexpr int64_t kGib = int64_t{1} << 30;
  const auto point = [](const char* machine, std::optional<int64_t> limit) {
    RunConfig config = report_run(report_llama3(4));
    config.machine.memory_limit_bytes = limit;
    return plan_point(config, machine_named(machine), 2, 12, {}, 1);
  };
  const MachinePoint free = point("aurora-pvc-tile", {});
  EXPECT_EQ(free.memory_bytes, 64 * kGib);
  EXPECT_EQ(point("aurora-pvc-tile", 65 * kGib).most_layers, free.most_layers);
  const MachinePoint limited = point("aurora-pvc-tile", 48 * kGib);
  EXPECT_EQ(limited.memory_bytes, 48 * kGib);
  EXPECT_EQ(limited.total_bytes, free.total_bytes);
  EXPECT_TRUE(limited.fits);
  EXPECT_THAT(memory_end_lines({limited}),
              ElementsAre("small: memory ends behind 6 layers within 48.00 GiB (MEMORY_LIMIT) on "
                          "24 ranks"));
  EXPECT_FALSE(point("aurora-pvc-tile", free.total_bytes).fits);
  EXPECT_TRUE(point("aurora-pvc-tile", free.total_bytes * 100 / 98 + 1).fits);
  for (const char* machine : {"aurora-pvc-tile", "h100-80g"}) {
    const MachinePoint none = point(machine, kGib);
    EXPECT_FALSE(none.fits) << machine;
    EXPECT_THAT(memory_end_lines({none}),
                ElementsAre("small: not one layer fits in 1.00 GiB (MEMORY_LIMIT) on 24 ranks"));
  }
}

// What a host of CPUs keeps free is of all of its memory.
TEST(MachinePlan, ALimitedRankOfCpusHasItsPartOfTheReserve) {
  MachineModel machine = machine_named("h100-80g");
  machine.gpu_multiprocessors = 0;
  machine.cores_per_host = 8;
  machine.reserve_bytes = machine.memory_bytes / 16;
  RunConfig config = narrow_run(4);
  const auto total = [&] { return total_bytes(rank_memory(config, machine, 1, 8, 1)); };
  const int64_t free = total();
  config.machine.memory_limit_bytes = machine.memory_bytes / 4;
  EXPECT_NEAR(static_cast<double>(free - total()),
              static_cast<double>(machine.reserve_bytes) * 3 / 4, 2);
  machine.cores_per_host = 0;
  EXPECT_EQ(total(), free) << "the context of a device is as large under any limit";
}

TEST(MachinePlan, TokensCostTimeAndNodeHours) {
  const MachinePoint point = report_point(report_llama3(14), 300e9);
  EXPECT_NEAR(point.tokens_per_gpu_per_second, 4202, 42);
  EXPECT_NEAR(point.tflops, 73.12, 0.73);
  EXPECT_EQ(point.standing, "calibrated");
  EXPECT_DOUBLE_EQ(*point.train_s, 300e9 / (24 * point.tokens_per_gpu_per_second));
  EXPECT_DOUBLE_EQ(*point.node_hours, 2 * *point.train_s / 3600);
}

TEST(MachinePlan, SaysWhatIsNotCalibrated) {
  const RunConfig config = report_run(report_llama3(4));
  const MachineModel aurora = machine_named("aurora-pvc-tile");
  EXPECT_EQ(plan_point(config, aurora, 4, 12, {}, 1).standing, "links uncalibrated");
  EXPECT_EQ(plan_point(config, aurora, 2, 6, {}, 1).standing, "links uncalibrated");
  for (const char* name : {"h100-80g", "a100-80g"}) {
    const MachineModel machine = machine_named(name);
    EXPECT_EQ(plan_point(config, machine, 1, 8, {}, 1).standing, "uncalibrated");
    EXPECT_THAT(machine_lines(machine)[2], HasSubstr("uncalibrated"));
  }
}

TEST(MachinePlan, TableOfWhatFitsAndWhatDoesNot) {
  const std::vector<MachinePoint> points = {report_point(report_llama3(14), 1e12),
                                            report_point(report_llama3(16), 1e12)};
  const auto table = point_table(points);
  ASSERT_EQ(table.size(), 3u);
  EXPECT_EQ(table[0].size(), table[1].size());
  EXPECT_EQ(table[1][9], "yes");
  EXPECT_EQ(table[2][9], "no");
  EXPECT_EQ(table[2][5], "-");
  EXPECT_THAT(memory_end_lines(points),
              ElementsAre("small: memory ends behind 14 layers on 24 ranks"));
  const auto json =
      nlohmann::json::parse(machine_plan_json(machine_named("aurora-pvc-tile"), points));
  EXPECT_EQ(json["machine"]["calibrated_on"]["rows"], 13);
  EXPECT_TRUE(json["points"][0]["step_time_s"].is_number());
  EXPECT_TRUE(json["points"][1]["step_time_s"].is_null());
  EXPECT_EQ(json["points"][1]["most_layers"], 14);
}

TEST(MachinePlan, SettingsThatAGridVariesAreTold) {
  std::vector<MachinePoint> points = {report_point(report_llama3(4)),
                                      report_point(report_llama3(4))};
  points[0].settings = "ZERO_STAGE=0";
  points[1].settings = "ZERO_STAGE=3";
  points[1].hosts = 4;
  points[1].most_layers = 20;
  const auto table = point_table(points);
  EXPECT_EQ(table[0][1], "settings");
  EXPECT_EQ(table[2][1], "ZERO_STAGE=3");
  const auto shares = std::ranges::find(table[0], "of fewest hosts") - table[0].begin();
  EXPECT_EQ(table[2][static_cast<size_t>(shares)], "100.0 %") << "of its own setting's";
  EXPECT_THAT(memory_end_lines(points),
              ElementsAre("small (ZERO_STAGE=0): memory ends behind 14 layers on 24 ranks",
                          "small (ZERO_STAGE=3): memory ends behind 20 layers on 24 ranks"));
}

TEST(MachinePlan, AnotherDtypeIsAnotherMachine) {
  RunConfig config = report_run(report_llama3(4));
  config.dtype = DType::kF32;
  EXPECT_ERROR(plan_point(config, machine_named("h100-80g"), 1, 8, {}, 1), ErrorKind::kConfig,
               "DTYPE=fp32, but the machine h100-80g is described for bf16");
}

TEST(MachinePlan, AnotherDeviceIsAnotherMachine) {
  RunConfig config = report_run(report_llama3(4));
  const auto plan = [&](const char* device, const MachineModel& machine) {
    config.machine.device = device;
    return plan_point(config, machine, 1, 8, {}, 1);
  };
  MachineModel cpu = machine_named("h100-80g");
  cpu.name = "mine";
  cpu.gpu_multiprocessors = 0;
  EXPECT_ERROR(plan("cpu", machine_named("h100-80g")), ErrorKind::kConfig,
               "DEVICE=cpu, but the machine h100-80g is described as a GPU");
  EXPECT_ERROR(plan("cuda", cpu), ErrorKind::kConfig,
               "DEVICE=cuda, but the machine mine is described as CPUs");
  for (const char* device : {"cpu", "cuda"}) {
    EXPECT_ERROR(plan(device, machine_named("aurora-pvc-tile")), ErrorKind::kConfig,
                 "aurora-pvc-tile is described as a device of megatron-deepspeed", "auto");
  }
  EXPECT_GT(plan("cuda", machine_named("h100-80g")).step_s, 0);
  EXPECT_GT(plan("cpu", cpu).step_s, 0);
}

TEST(MachineFile, IsWhatItWasAfterWritingAndReading) {
  for (const char* name : {"aurora-pvc-tile", "h100-80g", "a100-80g"}) {
    const MachineModel machine = machine_named(name);
    EXPECT_EQ(machine.name, name);
    const MachineModel again = parse_machine(machine_json(machine), "again.json");
    for (size_t i = 0; i < kStepTerms; ++i) {
      EXPECT_NEAR(again.seconds()[i] / machine.seconds()[i], 1, 1e-12);
    }
    EXPECT_EQ(again.calibration.has_value(), machine.calibration.has_value());
  }
}

TEST(MachineFile, KeepsWhatRanksShareAndWereMeasuredOn) {
  MachineModel machine = machine_named("aurora-pvc-tile");
  EXPECT_EQ(machine.cores_per_host, 0);
  EXPECT_EQ(machine.calibration->ranks_per_host, std::vector<int64_t>{12})
      << "a file that does not say means its machine's";
  machine.cores_per_host = 96;
  machine.calibration->ranks_per_host = {1, 12};
  const MachineModel again = parse_machine(machine_json(machine), "again.json");
  EXPECT_EQ(again.cores_per_host, 96);
  EXPECT_EQ(again.calibration->ranks_per_host, machine.calibration->ranks_per_host);
}

TEST(MachineFile, TellsWhatIsWrong) {
  const std::string good = machine_json(machine_named("aurora-pvc-tile"));
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const auto parse = [](const std::string& text) { return parse_machine(text, "m.json"); };
  EXPECT_ERROR(parse("{"), ErrorKind::kData, "m.json is not JSON");
  EXPECT_ERROR(parse("[]"), ErrorKind::kData, "m.json is not an object");
  EXPECT_ERROR(parse(broken("borealis machine 1", "2")), ErrorKind::kData, "\"format\"");
  EXPECT_ERROR(parse(broken("\"stack\": \"megatron-deepspeed\"", "\"stack\": \"nemo\"")),
               ErrorKind::kData,
               "\"stack\": \"nemo\", which is not borealis or megatron-deepspeed");
  EXPECT_ERROR(parse(broken("\"ranks_per_host\": 12", "\"ranks_per_host\": 0")), ErrorKind::kData,
               "\"ranks_per_host\": 0, which is not a whole number of 1 to 9000000000000000");
  EXPECT_ERROR(parse(broken("\"memory_bytes\"", "\"memory\"")), ErrorKind::kData,
               "has no \"memory_bytes\"");
  EXPECT_ERROR(parse(broken("\"memory_bytes\": 68719476736", "\"memory_bytes\": 1073741824")),
               ErrorKind::kData, "m.json has \"reserve_bytes\": 1073741824",
               "not less than the \"memory_bytes\", 1073741824");
  EXPECT_ERROR(parse(broken("\"all_reduce\": \"hierarchical\"", "\"all_reduce\": 3")),
               ErrorKind::kData, "m.json: \"links\" has \"all_reduce\": 3");
  EXPECT_ERROR(
      parse(broken("\"ranks_per_host\": 12", "\"ranks_per_host\": 12, \"cores_per_host\": 0")),
      ErrorKind::kData, "\"cores_per_host\": 0");
  EXPECT_ERROR(parse(broken("\"noise\": ", "\"noise\": -")), ErrorKind::kData, "\"noise\": -0.0");
  EXPECT_ERROR(parse(broken("\"covariance\": [", "\"covariance\": [[],")), ErrorKind::kData,
               "\"covariance\"");
  EXPECT_ERROR(machine_named("hal-9000"), ErrorKind::kConfig, "--machine hal-9000",
               "a100-80g, aurora-pvc-tile, h100-80g");
  EXPECT_ERROR(find_machine("/nowhere/m.json", ""), ErrorKind::kFile, "/nowhere/m.json");
}

}  // namespace
}  // namespace borealis
