#include "sim/pair.h"
