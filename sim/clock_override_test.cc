#include "sim/clock_override.h"
