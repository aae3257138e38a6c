// `kyuu find`: who is in a room, by the beginning of the name and by metadata.

#ifndef KYUU_TOOLS_KYUU_FIND_FIND_COMMAND_H_
#define KYUU_TOOLS_KYUU_FIND_FIND_COMMAND_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"

namespace kyuu::tools {

struct FindOptions {
  std::string url;                 // Of the page, or of the WebSocket.
  std::string token_file;          // "" for none.
  std::string room;                // "" for the page's, or the default one.
  std::string room_secret_file;    // "" for none.
  std::string name;                // Ours, while we look.
  std::string prefix;              // Of names; "" for all.
  std::vector<std::string> where;  // "MEMBER=VALUE" of metadata.
  bool json = false;
  int timeout_s = 60;  // For all of it, 1 to 3600.
};

// Adds the command to `app`; what is asked for is put into `options`, whose
// name is kept unless there is another.
void AddFind(CLI::App& app, FindOptions& options);

// The metadata that peers have who are looked for: VALUE is a JSON number,
// true, false or null, a JSON string with its quotes, or else text.
// INVALID_ARGUMENT for what has no "=", or a member twice.
absl::StatusOr<std::string> MetaOf(const std::vector<std::string>& where);

// RunFind joins the room, prints a line for each peer that is found ("NAME" and
// its metadata, or both as JSON), leaves, and returns the exit status: 0, or 1
// with a line on stderr, also if nobody is found, or if the server has not told
// all of them in time; those that it told were printed.
int RunFind(const FindOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_FIND_FIND_COMMAND_H_
