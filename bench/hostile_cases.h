// What a hostile peer sends, kind by kind.

#ifndef KYUU_BENCH_HOSTILE_CASES_H_
#define KYUU_BENCH_HOSTILE_CASES_H_

#include <vector>

#include "bench/hostile_rig.h"

namespace kyuu::bench {

struct HostileCase {
  const char* name;
  // Prepares the victim and returns the packets that are measured.
  Packets (*attack)(HostileRig& rig);
};

// Data and FORWARD TSN: each in both formats.
std::vector<HostileCase> DataCases();
// SACK.
std::vector<HostileCase> SackCases();
// All other chunks, and DCEP.
std::vector<HostileCase> ControlCases();

}  // namespace kyuu::bench

#endif  // KYUU_BENCH_HOSTILE_CASES_H_
