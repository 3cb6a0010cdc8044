// c-ares as a Swift module.
#ifndef FAIRLEAD_CARES_H
#define FAIRLEAD_CARES_H
#include <ares.h>
#include <netinet/in.h>
#include <sys/socket.h>
#endif
