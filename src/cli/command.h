// The subcommands of `borealis`. One file each; main.cpp holds the table.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

namespace borealis {

// Takes the arguments after the subcommand's name and returns the exit code. Faults of the user or
// the world leave as Error, which main.cpp prints.
using CommandFunction = int (*)(const std::vector<std::string>& arguments);

struct Command {
  const char* name;
  const char* summary;
  CommandFunction run;
  bool of_ranks = false;  // the ranks of a job run it together
};

// A command that is a group of others, and the program itself.
struct CommandGroup {
  const char* name;     // "borealis data"
  const char* summary;  // what it is for; "": the program's usage needs no word
  std::span<const Command> commands;
};
// Runs the command that the first argument names, or prints what there is. Throws Error(kUsage) for
// a name that is none.
int run_group(const CommandGroup& group, const std::vector<std::string>& arguments);

// For a launcher to pass a line on, before it hears that a rank has ended.
inline constexpr std::chrono::milliseconds kTellingTime(300);

// One line on the standard error, behind the program's name. Whatever becomes of it: where that
// stream is closed, too, there is the exit code.
void tell(const std::string& message);

int run_train_command(const std::vector<std::string>& arguments);
int run_launch_command(const std::vector<std::string>& arguments);
int run_doctor_command(const std::vector<std::string>& arguments);
int run_plan_command(const std::vector<std::string>& arguments);
int run_sweep_command(const std::vector<std::string>& arguments);
int run_report_command(const std::vector<std::string>& arguments);
int run_watch_command(const std::vector<std::string>& arguments);
int run_data_command(const std::vector<std::string>& arguments);
int run_data_tokenize_command(const std::vector<std::string>& arguments);
int run_data_inspect_command(const std::vector<std::string>& arguments);
int run_data_merge_command(const std::vector<std::string>& arguments);
int run_data_verify_command(const std::vector<std::string>& arguments);
int run_data_blend_command(const std::vector<std::string>& arguments);
int run_data_batches_command(const std::vector<std::string>& arguments);
int run_tokenizer_command(const std::vector<std::string>& arguments);
int run_generate_command(const std::vector<std::string>& arguments);
int run_eval_command(const std::vector<std::string>& arguments);
int run_checkpoint_command(const std::vector<std::string>& arguments);
int run_checkpoint_export_command(const std::vector<std::string>& arguments);
int run_checkpoint_import_command(const std::vector<std::string>& arguments);
int run_checkpoint_inspect_command(const std::vector<std::string>& arguments);
int run_checkpoint_diff_command(const std::vector<std::string>& arguments);
int run_checkpoint_verify_command(const std::vector<std::string>& arguments);

}  // namespace borealis
