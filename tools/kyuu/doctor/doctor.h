// `kyuu doctor`: what is wrong with a server, and how to make it right.

#ifndef KYUU_TOOLS_KYUU_DOCTOR_DOCTOR_H_
#define KYUU_TOOLS_KYUU_DOCTOR_DOCTOR_H_

#include <string>

namespace kyuu::tools {

struct DoctorOptions {
  // The site; with `proxy` where kyuud listens.
  std::string url;
  // Prints the lines for this proxy and looks at nothing.
  std::string proxy;
  std::string public_url = "https://kyuu.example/";  // With `proxy`.
  std::string certificate;                           // With `proxy`.
  std::string key;                                   // With `proxy`.
  // Where kyuud is believed to listen, for lines that are printed as a fix.
  std::string backend = "http://127.0.0.1:9000";
  std::string token_file;
  int slow_s = 0;  // How long a silent WebSocket is watched; 0: not at all.
  bool json = false;
};

// RunDoctor prints what it finds and returns the exit status: 0 if nothing has
// failed, kFailureFound, or 2 with a line on stderr for wrong use.
int RunDoctor(const DoctorOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_DOCTOR_DOCTOR_H_
