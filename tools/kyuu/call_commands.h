// `kyuu connect`, `send`, `recv`, `pipe` and `ping`: what people do with calls.

#ifndef KYUU_TOOLS_KYUU_CALL_COMMANDS_H_
#define KYUU_TOOLS_KYUU_CALL_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/kyuu/code/code.h"
#include "tools/kyuu/network_use/network_use.h"
#include "tools/kyuu/ping/ping_options.h"
#include "tools/kyuu/qr/qr_code.h"

namespace kyuu::tools {

// The options of these commands, as docs/kyuu.md lists them.
struct CallOptions {
  std::string url;
  std::string address;  // The same as it was typed.
  std::string name;
  std::string token_file;        // Empty: nothing is shown.
  std::string room;              // Empty: the server's default.
  std::string room_secret_file;  // Empty: the room has none.
  bool relay = false;            // Relayed candidates only.
  NetworkUse network;
  // All but connect: meets the other one by it instead of by names.
  std::optional<Code> code;
  // pipe, ping: is called by the other one, or has typed that one's code.
  bool answers = false;
  PingOptions ping;
  QrWish qr = QrWish::kWhereSeen;  // Of a code that is shown.
  bool verify = false;             // Shows the number to compare of each call.
  std::string call;                // Whom to call.
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
int RunPipe(const CallOptions& options);
int RunPing(const CallOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CALL_COMMANDS_H_
