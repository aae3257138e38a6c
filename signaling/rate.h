// How often a client may do something, as an option.

#ifndef KYUU_SIGNALING_RATE_H_
#define KYUU_SIGNALING_RATE_H_

namespace kyuu::signaling {

// In the long run, and at once after a pause.
struct Rate {
  double per_second = 1;
  double burst = 1;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_RATE_H_
