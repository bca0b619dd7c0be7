#include <fmt/format.h>

#include <array>
#include <charconv>

#include "config/derive.h"
#include "config/split_shares.h"

namespace borealis {
namespace {

// What the reference trains on where neither tokens nor iterations are given.
constexpr int64_t kDefaultTrainTokens = 4'673'780'159'710;

// 0 and a problem where the product does not fit.
int64_t checked_product(int64_t a, int64_t b, std::string_view what, Problems& problems) {
  int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) {
    problems.settings.push_back(fmt::format("{} is too large: {} x {}", what, a, b));
    return 0;
  }
  return product;
}

void report_indivisible(const Settings& settings, int64_t global, const BatchConfig& batch,
                        int64_t ranks, Problems& problems) {
  const int64_t unit = batch.micro_batch_size * ranks;
  const int64_t below = global / unit * unit;
  const std::string choices =
      below == 0 ? std::to_string(unit) : fmt::format("{} or {}", below, below + unit);
  problems.settings.push_back(
      fmt::format("{} is not a multiple of MICRO_BATCH x DP = {} x {} = {}; use {}",
                  settings.spelled("GLOBAL_BATCH"), batch.micro_batch_size, ranks, unit, choices));
}

// Validation and test need batches to look at; where there are none the reference never returns.
void check_shares(const std::string& split, const SplitShares& shares, const RunConfig& run,
                  Problems& problems) {
  if (shares[0] == 0) {
    problems.settings.push_back(fmt::format(
        "the split {} leaves nothing to train on; its first number must be above 0", split));
  }
  const bool validates = run.limits.eval_interval > 0 && shares[1] > 0;
  if (run.limits.eval_iters == 0 && (validates || shares[2] > 0)) {
    problems.settings.push_back(fmt::format(
        "EVAL_ITERS=0 with the split {}: a validation or test would look at no batch; set "
        "EVAL_ITERS to 1 or more, or give validation and test no share (--split 1,0,0)",
        split));
  }
}

}  // namespace

void derive_batch(const Settings& settings, RunConfig& run, Problems& problems) {
  BatchConfig& batch = run.batch;
  if (const int64_t parts = run.parallel.sequence_parallel_size;
      run.parallel.replicas() % parts != 0) {
    problems.settings.push_back(
        fmt::format("{} does not divide the run's ranks, {}; use a divisor of them, or start as "
                    "many as it divides (NGPU_PER_HOST, WORLD_SIZE)",
                    settings.spelled("SP"), run.parallel.replicas()));
    run.parallel.sequence_parallel_size = 1;  // for what is looked at all the same
  }
  const int64_t ranks = run.parallel.data_parallel_size();
  const int64_t unit = batch.micro_batch_size * ranks;
  if (settings.given("GLOBAL_BATCH")) {
    const int64_t global = batch.global_batch_size;
    if (global % unit != 0) {
      report_indivisible(settings, global, batch, ranks, problems);
    } else if (!settings.given("GRAD_ACC_STEPS")) {
      batch.grad_accum_steps = global / unit;
    } else if (global != unit * batch.grad_accum_steps) {
      problems.settings.push_back(fmt::format(
          "{} contradicts MICRO_BATCH x GRAD_ACC_STEPS x DP = {} x {} x {} = {}; set two of the "
          "three",
          settings.spelled("GLOBAL_BATCH"), batch.micro_batch_size, batch.grad_accum_steps, ranks,
          unit * batch.grad_accum_steps));
    }
  } else {
    batch.global_batch_size = unit * batch.grad_accum_steps;
  }
}

void derive_train_length(const Settings& settings, RunConfig& run, Problems& problems) {
  ScheduleLimits& limits = run.limits;
  const bool tokens_given = settings.given("TRAIN_TOKENS");
  const bool iters_given = settings.has("TRAIN_ITERS");
  if (tokens_given && iters_given) {
    const bool tokens_win = settings.source("TRAIN_TOKENS") >= settings.source("TRAIN_ITERS");
    const std::string_view winner = tokens_win ? "TRAIN_TOKENS" : "TRAIN_ITERS";
    const std::string_view loser = tokens_win ? "TRAIN_ITERS" : "TRAIN_TOKENS";
    run.notes.push_back(
        fmt::format("{} beats {}", settings.spelled(winner), settings.spelled(loser)));
    if (!tokens_win) limits.train_tokens.reset();
  } else if (!tokens_given && !iters_given) {
    limits.train_tokens = kDefaultTrainTokens;
  }
  if (limits.train_tokens) {
    limits.train_iters = *limits.train_tokens / run.batch.seq_length / run.batch.global_batch_size;
    if (limits.train_iters == 0) {
      problems.settings.push_back(fmt::format(
          "{} is less than one step of SEQ x GLOBAL_BATCH = {} x {} tokens; train on more, or "
          "lower "
          "one of these",
          settings.spelled("TRAIN_TOKENS"), run.batch.seq_length, run.batch.global_batch_size));
    }
  }
  const int64_t step_tokens = checked_product(run.batch.seq_length, run.batch.global_batch_size,
                                              "a step of SEQ x GLOBAL_BATCH tokens", problems);
  const int64_t longest = std::max(limits.train_iters, run.schedule.decay_iters.value_or(0));
  checked_product(step_tokens, longest, "the run's number of tokens", problems);
}

void derive_split(const Settings& settings, RunConfig& run, Problems& problems) {
  const bool whole = settings.given("--split");
  std::string& split = run.data.split;
  split = whole ? settings.text("--split")
                : fmt::format("{},{},{}", settings.text("TRAIN_SPLIT"), settings.text("VAL_SPLIT"),
                              settings.text("TEST_SPLIT"));
  for (const std::string_view part : {"TRAIN_SPLIT", "VAL_SPLIT", "TEST_SPLIT"}) {
    if (whole && settings.given(part)) {
      run.notes.push_back(
          fmt::format("{} beats {}", settings.spelled("--split"), settings.spelled(part)));
    }
  }
  if (const auto shares = parse_split_shares(split)) {
    check_shares(split, *shares, run, problems);
  } else {
    problems.settings.push_back(
        fmt::format("{} is not one to three shares with a sum above 0, such as 990,10,0 or 0.9,0.1",
                    settings.spelled("--split")));
  }
}

}  // namespace borealis
