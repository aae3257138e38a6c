// `kyuu connect`, `kyuu send` and `kyuu recv`: what people do with calls.

#ifndef KYUU_TOOLS_KYUU_CALL_COMMANDS_H_
#define KYUU_TOOLS_KYUU_CALL_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/kyuu/code/code.h"

namespace kyuu::tools {

// The options of the three commands, as docs/kyuu.md lists them.
struct CallOptions {
  std::string url;
  std::string address;  // The same as it was typed.
  std::string name;
  std::string token_file;        // Empty: nothing is shown.
  std::string room;              // Empty: the server's default.
  std::string room_secret_file;  // Empty: the room has none.
  bool relay = false;            // Relayed candidates only.
  // send, recv: meets the other one by it instead of by names.
  std::optional<Code> code;
  bool verify = false;             // Shows the number to compare of each call.
  std::string call;                // connect: whom to call; send: --to.
  std::vector<std::string> files;  // send.
  std::string folder = ".";        // recv, and files offered in connect.
  bool overwrite = false;
  bool once = false;  // recv: ends after the first call.
  bool yes = false;   // connect, recv: takes everything from everybody.
  std::vector<std::string> from;     // connect, recv: and of these.
  std::optional<uint64_t> size_max;  // Of a file that is taken, in bytes.
};

// Each returns the exit status.
int RunConnect(const CallOptions& options);
int RunSend(const CallOptions& options);
int RunRecv(const CallOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CALL_COMMANDS_H_
