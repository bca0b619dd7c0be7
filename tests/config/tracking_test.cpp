// When a run leaves records for Weights & Biases and TensorBoard, and under which names.
#include <gmock/gmock.h>

#include "config/support.h"

namespace borealis::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Tracking, TensorBoardIsOnUnlessAskedNot) {
  EXPECT_TRUE(load({}, {}).tracking.tensorboard);
  EXPECT_EQ(load({}, {}).tracking.tensorboard_dir, "");
  EXPECT_FALSE(load({{"NO_TENSORBOARD", "0"}}, {}).tracking.tensorboard) << "any value";
  EXPECT_EQ(load({}, {"--tensorboard-dir", "tb/x"}).tracking.tensorboard_dir, "tb/x");
}

TEST(Tracking, AProjectOrAModeAsksForWeightsAndBiases) {
  EXPECT_FALSE(load({}, {}).tracking.wandb);
  EXPECT_FALSE(load({{"WANDB_NAME", "n"}}, {}).tracking.wandb);
  for (const char* mode : {"offline", "online", "dryrun"}) {
    const TrackingConfig tracking = load({{"WANDB_MODE", mode}}, {}).tracking;
    EXPECT_TRUE(tracking.wandb) << mode;
    EXPECT_EQ(tracking.wandb_online, std::string(mode) == "online");
    EXPECT_EQ(tracking.wandb_project, "AuroraGPT");
  }
  EXPECT_EQ(load({{"WANDB_PROJECT", "p"}}, {}).tracking.wandb_project, "p");
  const RunConfig both = load({{"WANDB_PROJECT", "p"}, {"WB_PROJECT", "q"}}, {});
  EXPECT_TRUE(both.tracking.wandb);
  EXPECT_EQ(both.tracking.wandb_project, "q");
  EXPECT_FALSE(load({{"WANDB_MODE", "disabled"}, {"WB_PROJECT", "p"}}, {}).tracking.wandb);
}

TEST(Tracking, TakesTheNamesOfTheClient) {
  const TrackingConfig tracking = load({{"WANDB_MODE", "offline"},
                                        {"WANDB_ENTITY", "team"},
                                        {"WANDB_NAME", "a name"},
                                        {"WANDB_RUN_GROUP", "sweep 3"},
                                        {"WANDB_NOTES", "notes, with a comma"},
                                        {"WANDB_TAGS", "a, b c,,d"},
                                        {"WANDB_RUN_ID", "id-7"},
                                        {"WANDB_DIR", "/scratch"}},
                                       {})
                                      .tracking;
  EXPECT_EQ(tracking.wandb_entity, "team");
  EXPECT_EQ(tracking.wandb_name, "a name");
  EXPECT_EQ(tracking.wandb_group, "sweep 3");
  EXPECT_EQ(tracking.wandb_notes, "notes, with a comma");
  EXPECT_THAT(tracking.wandb_tags, ElementsAre("a", "b c", "d"));
  EXPECT_EQ(tracking.wandb_run_id, "id-7");
  EXPECT_EQ(tracking.wandb_dir, "/scratch");
}

TEST(Tracking, RefusesNamesThatTheServerWould) {
  EXPECT_THAT(refusal({{"WB_PROJECT", "a/b"}}, {}).text,
              HasSubstr(R"(WB_PROJECT=a/b is no name of a project: none of / \ # ? % :)"));
  EXPECT_THAT(refusal({{"WANDB_PROJECT", std::string(129, 'x')}}, {}).text,
              HasSubstr("at most 128 bytes"));
  EXPECT_THAT(refusal({{"WANDB_MODE", "offline"}, {"WANDB_RUN_ID", "../up"}}, {}).text,
              HasSubstr("WANDB_RUN_ID=../up is no id of a run: none of : ; , # ? / ' \\"));
  EXPECT_THAT(refusal({{"WANDB_MODE", "of"}}, {}).text,
              HasSubstr("WANDB_MODE=of is not one of online, offline, dryrun, disabled"));
  EXPECT_FALSE(load({{"WANDB_RUN_ID", "../up"}}, {}).tracking.wandb) << "nobody will use it";
}

}  // namespace
}  // namespace borealis::testing
