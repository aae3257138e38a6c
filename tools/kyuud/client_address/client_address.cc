#include "tools/kyuud/client_address/client_address.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace kyuu::tools {
namespace {

bool Lists(absl::Span<const IpPrefix> proxies, const IpAddress& ip) {
  return std::any_of(proxies.begin(), proxies.end(),
                     [&](const IpPrefix& p) { return p.Contains(ip); });
}

// "192.0.2.1", "192.0.2.1:80", "2001:db8::1" or "[2001:db8::1]:80": some
// proxies write the port, too.
std::optional<IpAddress> AddressOf(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (const auto whole = TransportAddress::Parse(text); whole.ok()) {
    return whole->ip;
  }
  if (absl::ConsumePrefix(&text, "[")) absl::ConsumeSuffix(&text, "]");
  const absl::StatusOr<IpAddress> ip = IpAddress::Parse(text);
  if (!ip.ok()) return std::nullopt;
  return *ip;
}

// All fields of that name are one list (RFC 9110 section 5.3).
std::vector<absl::string_view> Elements(const signaling::HttpRequest& request) {
  std::vector<absl::string_view> elements;
  for (const signaling::HttpHeader& field : request.headers.fields()) {
    if (!absl::EqualsIgnoreCase(field.name, "X-Forwarded-For")) continue;
    const std::vector<absl::string_view> more =
        absl::StrSplit(field.value, ',');
    elements.insert(elements.end(), more.begin(), more.end());
  }
  return elements;
}

}  // namespace

ClientAddress ClientOf(const signaling::HttpRequest& request,
                       const IpAddress& remote,
                       absl::Span<const IpPrefix> proxies) {
  const std::vector<absl::string_view> elements = Elements(request);
  if (elements.empty()) return {remote, ForwardedFor::kNone};
  if (!Lists(proxies, remote)) return {remote, ForwardedFor::kIgnored};
  IpAddress client = remote;
  size_t hops = 0;
  for (auto it = elements.rbegin(); it != elements.rend(); ++it) {
    const std::optional<IpAddress> ip = AddressOf(*it);
    if (!ip || ++hops > kMaxForwardedHops) {
      return {remote, ForwardedFor::kUnreadable};
    }
    client = *ip;
    if (!Lists(proxies, client)) break;
  }
  return {client, ForwardedFor::kUsed};
}

}  // namespace kyuu::tools
