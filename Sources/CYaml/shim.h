// libyaml as a Swift module: its event parser.
#ifndef FAIRLEAD_CYAML_H
#define FAIRLEAD_CYAML_H
#include <yaml.h>
#endif
