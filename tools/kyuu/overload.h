// Overload: a visitor of lambdas for std::visit.

#ifndef KYUU_TOOLS_KYUU_OVERLOAD_H_
#define KYUU_TOOLS_KYUU_OVERLOAD_H_

namespace kyuu::tools {

template <typename... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overload(Fs...) -> Overload<Fs...>;

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_OVERLOAD_H_
