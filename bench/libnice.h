// What of libnice's and GLib's interfaces bench/ice_connect.cc calls, found
// when it runs: their library is there where their headers need not be.

#ifndef KYUU_BENCH_LIBNICE_H_
#define KYUU_BENCH_LIBNICE_H_

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace kyuu::bench {

// Libnice has the functions of libnice.so.10 (0.1.21) under their own names, as
// its documentation declares them; opaque types are void here.
struct Libnice {
  // Of NiceAgentOption, and of NiceComponentState.
  static constexpr int kRegularNomination = 1;
  static constexpr unsigned kReady = 4;

  using StateChanged = void (*)(void* agent, unsigned stream,
                                unsigned component, unsigned state, void* data);
  using Received = void (*)(void* agent, unsigned stream, unsigned component,
                            unsigned length, char* bytes, void* data);

  // Ends the program if there is no libnice.
  Libnice() : library_(dlopen("libnice.so.10", RTLD_NOW | RTLD_GLOBAL)) {
    if (library_ == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      std::exit(1);
    }
    Find(main_context_new, "g_main_context_new");
    Find(main_context_iteration, "g_main_context_iteration");
    Find(object_set, "g_object_set");
    Find(object_unref, "g_object_unref");
    Find(signal_connect_data, "g_signal_connect_data");
    Find(free, "g_free");
    Find(agent_new_full, "nice_agent_new_full");
    Find(address_new, "nice_address_new");
    Find(address_free, "nice_address_free");
    Find(address_set_from_string, "nice_address_set_from_string");
    Find(add_local_address, "nice_agent_add_local_address");
    Find(add_stream, "nice_agent_add_stream");
    Find(set_stream_name, "nice_agent_set_stream_name");
    Find(attach_recv, "nice_agent_attach_recv");
    Find(gather_candidates, "nice_agent_gather_candidates");
    Find(generate_local_sdp, "nice_agent_generate_local_sdp");
    Find(parse_remote_sdp, "nice_agent_parse_remote_sdp");
  }

  void* (*main_context_new)();
  int (*main_context_iteration)(void* context, int may_block);
  void (*object_set)(void* object, const char* first, ...);
  void (*object_unref)(void* object);
  unsigned long (*signal_connect_data)(void* object, const char* signal,
                                       StateChanged handler, void* data,
                                       void* destroy, int flags);
  void (*free)(void* memory);
  void* (*agent_new_full)(void* context, int compatibility, int options);
  void* (*address_new)();
  void (*address_free)(void* address);
  int (*address_set_from_string)(void* address, const char* text);
  int (*add_local_address)(void* agent, void* address);
  unsigned (*add_stream)(void* agent, unsigned components);
  int (*set_stream_name)(void* agent, unsigned stream, const char* name);
  int (*attach_recv)(void* agent, unsigned stream, unsigned component,
                     void* context, Received handler, void* data);
  int (*gather_candidates)(void* agent, unsigned stream);
  char* (*generate_local_sdp)(void* agent);
  int (*parse_remote_sdp)(void* agent, const char* sdp);

 private:
  template <typename Function>
  void Find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (function == nullptr) {
      std::fprintf(stderr, "libnice has no %s\n", name);
      std::exit(1);
    }
  }

  void* library_;
};

}  // namespace kyuu::bench

#endif  // KYUU_BENCH_LIBNICE_H_
