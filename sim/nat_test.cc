#include "sim/nat.h"
