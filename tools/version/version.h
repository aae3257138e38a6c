// kVersion: which kyuu this is, as the file VERSION at the root says
// (//packaging:package_test compares them).

#ifndef KYUU_TOOLS_VERSION_VERSION_H_
#define KYUU_TOOLS_VERSION_VERSION_H_

namespace kyuu::tools {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_VERSION_VERSION_H_
