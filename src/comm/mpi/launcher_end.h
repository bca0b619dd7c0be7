// The end of a launcher that does not end.
#pragma once

namespace borealis {

// Once a rank aborts the job, its launcher, the process that started this one, should end within
// seconds. Without a network it may wait for ever for what it has on other hosts, and on those wait
// for it. So a small process stays behind that kills it if it is still there after fifteen seconds;
// where the launcher ends in time, so does that one.
void end_hanging_launcher();

}  // namespace borealis
