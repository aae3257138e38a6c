// What only the start of a program has needed.

#ifndef KYUU_TOOLS_KYUUD_START_MEMORY_START_MEMORY_H_
#define KYUU_TOOLS_KYUUD_START_MEMORY_START_MEMORY_H_

namespace kyuu::tools {

// Gives pages back that starting has touched and nobody may need again: of the
// program and its libraries what is never written (code, constants, tables of
// symbols and relocations), which comes back from the files as it is used; and
// what the heap has free. Most of a server's resident memory is that, when it
// has read its settings and everything was linked. Any thread may go on
// meanwhile.
void ReleaseStartMemory();

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_START_MEMORY_START_MEMORY_H_
