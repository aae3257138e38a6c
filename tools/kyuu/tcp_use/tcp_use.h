// The flag --tcp of `kyuu peer` and `kyuu echo`.

#ifndef KYUU_TOOLS_KYUU_TCP_USE_TCP_USE_H_
#define KYUU_TOOLS_KYUU_TCP_USE_TCP_USE_H_

#include <map>
#include <string>

#include "CLI/CLI.hpp"
#include "peer/host_sockets.h"

namespace kyuu::tools {

// AddTcpUse adds it to `command`. `use`, which must outlive that, is a
// peer::TcpUse, or one that may be left open.
//
// The words alone are taken: CLI11 would take the number of an enumerator, too,
// and print those it knows as the bytes that they are.
template <typename T>
CLI::Option* AddTcpUse(CLI::App& command, T& use) {
  static const std::map<std::string, peer::TcpUse> kUses = {
      {"none", peer::TcpUse::kNone},
      {"active", peer::TcpUse::kActive},
      {"both", peer::TcpUse::kBoth},
      {"simultaneous", peer::TcpUse::kSimultaneous}};
  return command
      .add_option_function<std::string>(
          "--tcp", [&use](const std::string& word) { use = kUses.at(word); },
          "TCP beside UDP: none, active, both or simultaneous")
      ->check(CLI::IsMember({"none", "active", "both", "simultaneous"}))
      ->type_name("USE");
}

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TCP_USE_TCP_USE_H_
