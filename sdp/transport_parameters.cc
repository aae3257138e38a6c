#include "sdp/transport_parameters.h"

#include <algorithm>

namespace kyuu::sdp {

bool SameDtls(const TransportParameters& a, const TransportParameters& b) {
  if (!a.tls_id.empty() && !b.tls_id.empty() && a.tls_id != b.tls_id) {
    return false;
  }
  return std::is_permutation(a.fingerprints.begin(), a.fingerprints.end(),
                             b.fingerprints.begin(), b.fingerprints.end());
}

bool SameIce(const TransportParameters& a, const TransportParameters& b) {
  return a.ice_ufrag == b.ice_ufrag && a.ice_pwd == b.ice_pwd;
}

}  // namespace kyuu::sdp
